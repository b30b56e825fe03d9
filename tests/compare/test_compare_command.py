"""`rl-eval compare` on runs that were trained for a second each."""

import json
import re

import pytest

from rl_eval.cli import main


def printed_json(capsys):
    return json.loads(capsys.readouterr().out)


def test_a_candidate_that_is_worse_closes_the_gate(run_names, capsys):
    assert main(["compare", *run_names("good"), *run_names("bad"), "--gate"]) == 1
    out = capsys.readouterr().out
    assert re.search(
        r"^WORSE lr=1e-06 is worse than lr=0.003: mean_cost .* over 5 pairs of runs with the same seed$", out, re.M
    )
    assert "gate: closed, since lr=1e-06 is worse with evidence" in out
    assert "settings that differ" in out


def test_the_other_way_round_it_is_better_and_the_gate_is_open(run_names, capsys):
    assert main(["compare", *run_names("bad"), *run_names("good"), "--gate", "--json"]) == 0
    result = printed_json(capsys)
    (comparison,) = result["comparisons"]
    assert comparison["decision"] == "BETTER"
    assert comparison["basis"] == "seeds"
    assert comparison["over_seeds"]["p_below"] == 1 / 32  # a lower cost, in all five pairs
    assert result["differences"] == {"lr": ["1e-06", "0.003"]}
    assert result["worse"] is False
    assert comparison["probability_of_improvement"]["estimate"] == 1.0


@pytest.mark.parametrize("seeds", [(1,), (1, 2), (1, 2, 3, 4, 5)])
def test_runs_against_themselves_are_never_worse(run_names, capsys, seeds):
    same = run_names("good", *seeds)
    assert main(["compare", *same, *(f"--baseline={run}" for run in same), "--gate", "--json"]) == 0
    (comparison,) = printed_json(capsys)["comparisons"]
    assert comparison["decision"] == "UNDECIDED"
    assert comparison["over_runs"]["estimate"] == 0


def test_one_run_each_is_decided_over_episodes(run_names, capsys):
    assert main(["compare", *run_names("good", 1), *run_names("bad", 2), "--gate", "--json", "--metric", "f1"]) == 1
    (comparison,) = printed_json(capsys)["comparisons"]
    assert comparison["basis"] == "episodes"
    assert "is about these policies and not about training again" in comparison["sentence"]
    runs, episodes = comparison["over_runs"], comparison["over_episodes"]
    assert runs["low"] is None  # unbounded
    assert episodes["estimate"] == pytest.approx(runs["estimate"])


def test_the_same_runs_give_the_same_numbers(run_names, capsys):
    both = []
    for _ in range(2):
        assert main(["compare", *run_names("good", 1, 2), *run_names("bad", 1, 2), "--json", "--episodes", "5"]) == 0
        both.append({key: value for key, value in printed_json(capsys).items() if key != "notes"})
    assert both[0] == both[1]


def test_every_use_of_a_finite_held_out_set_is_recorded(run_names, tmp_path, capsys):
    for _ in range(2):
        assert main(["compare", *run_names("good", 1, 2), *run_names("bad", 1), "--json"]) == 0
        assert "2 different candidates have used these held-out cases" in printed_json(capsys)["notes"][0]
    lines = [json.loads(line) for line in (tmp_path / "outputs" / "ledger.jsonl").read_text().splitlines()]
    assert [line["suite"] for line in lines] == ["compare"] * 4


def test_the_page_is_one_file(run_names, tmp_path, capsys):
    page = tmp_path / "page.html"
    assert main(["compare", *run_names("good"), *run_names("bad"), "--html", str(page)]) == 0
    html = page.read_text()
    assert "lr=1e-06 is worse than lr=0.003" in html
    assert html.count("<svg") >= 6
    assert not re.search(r"<script|(src|href)=[\"']?(http|//)", html)
    assert len(html) < 3_000_000


def test_one_group_has_no_candidate(run_names, capsys):
    assert main(["compare", *run_names("good"), "--gate"]) == 2
    assert "name the baseline with --baseline" in capsys.readouterr().err
    assert main(["compare", *run_names("good")]) == 0
    assert "candidate minus baseline" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Missing argument"),
        (["nowhere"], "nowhere is not a directory"),
        (["wandb:team"], "write wandb:entity/project"),
        (["wandb:team/project?tag=x"], "write wandb:entity/project"),
    ],
)
def test_mistakes_are_one_sentence(run_names, capsys, arguments, message):
    assert main(["compare", *arguments]) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
    assert message in line


def test_an_alpha_that_is_no_error_rate_is_refused(run_names, capsys):
    assert main(["compare", *run_names("good", 1), "--alpha", "0.7"]) == 2
    assert "give one between 0 and 0.5" in capsys.readouterr().err


def test_a_narrow_terminal_leaves_columns_out_and_breaks_no_number(run_names, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "60")
    assert main(["compare", *run_names("good", 1, 2), *run_names("bad", 1, 2), "--episodes", "4"]) == 0
    tables = capsys.readouterr().out.partition("UNDECIDED")[0].partition("WORSE lr")[0].splitlines()
    assert max(map(len, tables)) <= 60
    assert any(line.startswith("not shown at this width: ") and "highest" in line for line in tables)
