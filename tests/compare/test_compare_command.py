"""`rl-eval compare` on runs that were trained for a second each."""

import json
import re
import shutil
from pathlib import Path

import pytest

from rl_eval.cli import main
from rl_eval.run import write_json


def printed_json(capsys):
    return json.loads(capsys.readouterr().out)


def test_a_candidate_that_is_worse_closes_the_gate(run_names, capsys):
    assert main(["compare", *run_names("good"), *run_names("bad"), "--gate"]) == 1
    out = capsys.readouterr().out
    assert re.search(
        r"^LOSES lr=1e-06 loses .* lr=0.003: mean_cost .* 0 of 5 pairs of runs of the same seed, .* at least \d+ runs",
        out,
        re.M,
    )
    assert "gate: closed, because lr=1e-06 loses" in out
    assert "settings that differ" in out


def test_the_other_way_round_it_wins_and_the_gate_is_open(run_names, capsys):
    assert main(["compare", *run_names("bad"), *run_names("good"), "--gate", "--json"]) == 0
    result = printed_json(capsys)
    (comparison,) = result["comparisons"]
    assert (comparison["decision"], comparison["about"]) == ("WINS", "training")
    assert comparison["wins"]["p_below"] == 1 / 32  # a lower cost, in all five pairs
    assert comparison["mean"]["p_below"] > 0.05  # which five runs cannot show of the mean
    assert comparison["mean"]["least_runs"] > 5
    assert result["differences"] == {"lr": ["1e-06", "0.003"]}
    assert result["closes_gate"] is False


def test_tighter_bounds_show_the_mean(run_names, capsys):
    # every run of both groups is within them, and they exclude the collapse that the metric's own bounds allow
    runs = [
        *run_names("good"),
        *run_names("bad"),
        "--metric",
        "f1",
        "--bounds",
        "0",
        "0.9",
        "--json",
        "--alpha",
        "0.25",
    ]
    assert main(["compare", *runs]) == 0
    (comparison,) = printed_json(capsys)["comparisons"]
    assert comparison["decision"] == "WORSE"
    assert comparison["mean"]["high"] < 0


@pytest.mark.parametrize("bounds", [("0", "0.5"), ("1", "0"), ("0", "inf")])
def test_bounds_that_do_not_hold_are_refused(run_names, capsys, bounds):
    assert main(["compare", *run_names("good", 1), *run_names("bad", 1), "--metric", "f1", "--bounds", *bounds]) == 2
    assert f"--bounds {float(bounds[0]):g}" in capsys.readouterr().err


@pytest.mark.parametrize("seeds", [(1,), (1, 2), (1, 2, 3, 4, 5)])
def test_runs_against_themselves_are_never_worse(run_names, capsys, seeds):
    same = run_names("good", *seeds)
    assert main(["compare", *same, *(f"--baseline={run}" for run in same), "--gate", "--json"]) == 0
    (comparison,) = printed_json(capsys)["comparisons"]
    assert (comparison["decision"], comparison["policies"]) == ("UNDECIDED", "UNDECIDED")
    assert comparison["wins"]["ties"] == len(seeds)


def test_one_run_each_shows_only_these_policies(run_names, tmp_path, capsys):
    page = tmp_path / "page.html"
    runs = [*run_names("good", 1), *run_names("bad", 2), "--metric", "f1"]
    assert main(["compare", *runs, "--gate", "--json", "--html", str(page)]) == 1
    result = printed_json(capsys)
    (comparison,) = result["comparisons"]
    assert (comparison["about"], comparison["decision"], comparison["policies"]) == ("policies", "UNDECIDED", "LOWER")
    assert result["closes_gate"] is True
    assert comparison["mean"] is None
    assert "one run of each shows nothing about repeated training" in comparison["sentence"]
    scores = [group["mean"] for group in result["groups"]]
    assert comparison["over_episodes"]["estimate"] == pytest.approx(scores[1] - scores[0])
    html = page.read_text()
    assert "Too few runs" in html
    assert 'class="badge FAIL"' not in html
    assert main(["compare", *run_names("bad", 2), *run_names("good", 1), "--metric", "f1", "--html", str(page)]) == 0
    assert 'class="badge PASS"' not in page.read_text()
    assert "better" not in capsys.readouterr().out.split("UNDECIDED")[1]


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


def test_the_jobs_of_a_sweep_are_compared_without_a_use_of_the_test_set(trained, run_names, tmp_path, capsys):
    names = [*run_names("good", 1, 2), *run_names("bad", 1)]
    sweep = tmp_path / "a_sweep"
    for name in names:
        shutil.copytree(name, sweep / Path(name).name)
    jobs = [{"directory": Path(name).name} for name in names]
    write_json(sweep / "sweep.json", {"jobs": jobs})
    results = {}
    for part in (None, "validation", "test"):
        options = [] if part is None else ["--part", part]
        assert main(["compare", str(sweep), "--json", *options]) == 0
        results[part] = printed_json(capsys)
        assert (tmp_path / "outputs" / "ledger.jsonl").exists() == (part == "test")
    assert results[None] == results["validation"]
    assert [result["part"] for result in results.values()] == ["validation", "validation", "test"]
    assert results[None]["groups"] != results["test"]["groups"]
    assert "validation part" in results[None]["notes"][0]
    assert main(["compare", str(sweep), names[0]]) == 0  # one more run than the sweep has
    assert "of the test part each" in capsys.readouterr().out
    assert main(["compare", str(sweep), "--part", "train"]) == 2
    assert "give test or validation" in capsys.readouterr().err


def test_the_page_is_one_file(run_names, tmp_path, capsys):
    page = tmp_path / "page.html"
    assert main(["compare", *run_names("good"), *run_names("bad"), "--html", str(page)]) == 0
    html = page.read_text()
    assert "lr=1e-06 loses more often" in html
    assert html.count("<svg") >= 6
    assert not re.search(r"<script|(src|href)=[\"']?(http|//)", html)
    assert len(html) < 3_000_000


def test_one_group_has_no_candidate(run_names, capsys):
    assert main(["compare", *run_names("good"), "--gate"]) == 2
    assert "name the baseline with --baseline" in capsys.readouterr().err
    assert main(["compare", *run_names("good")]) == 0
    assert "candidate against baseline" not in capsys.readouterr().out


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
    monkeypatch.setenv("COLUMNS", "56")
    assert main(["compare", *run_names("good", 1, 2), *run_names("bad", 1, 2), "--episodes", "4"]) == 0
    tables = capsys.readouterr().out.partition("UNDECIDED")[0].splitlines()
    assert max(map(len, tables)) <= 56
    assert any(line.startswith("not shown at this width: ") and "lowest" in line for line in tables)
