"""The next cycle: its results are unknown, cases run by score, and the budget limits how many run."""

import csv
import dataclasses
import io
import json
import math
import re
import shutil
import sys
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents import AGENTS
from rl_eval import config as configs
from rl_eval import metrics, rollout
from rl_eval.cli import main
from rl_eval.domains.qase import DOMAIN
from rl_eval.domains.qase.commands import choose_policy
from rl_eval.domains.qase.commands.next_cycle import (
    COLUMNS,
    empty_log,
    expected_durations,
    next_cycle,
    next_cycle_features,
    order_cases,
    to_csv,
)
from rl_eval.domains.qase.config import Config
from rl_eval.domains.qase.environment.dataset import load_dataset
from rl_eval.domains.qase.environment.features import FEATURES, default_features, extract_features
from rl_eval.domains.qase.formats.json_export import write_json_export
from rl_eval.domains.qase.formats.load import load
from rl_eval.domains.qase.model.execution_log import ExecutionLog
from rl_eval.domains.qase.model.project import Case, CaseSuite, Project, build_project
from rl_eval.formatting import escape_controls, spreadsheet_text
from rl_eval.hydra_compose import compose
from rl_eval.policy import Spaces, scores
from rl_eval.policy import load as load_policy
from rl_eval.tracking import open_tracker
from rl_eval.training import train
from tests.gates import fake_agent
from tests.gates.fake_runs import write_run

ROOT = Path(__file__).resolve().parents[4]
DATA = ROOT.parent / "shared/data"
V1, REPORT = DATA / "qase/qase-demo_QD-2026-02-18.csv", DATA / "qase/report"
IOFROL = DATA / "iofrol/iofrol.csv"
PROJECT = build_project(
    [CaseSuite(id=1, title="Shop"), CaseSuite(id=2, title="Basket", parent_id=1)],
    [Case(id=10 + i, title=f"case {i}", suite_id=i % 2 + 1) for i in range(4)],
    "here",
)
BIG = 12  # cases of the project on the disk
CYCLES = 40


def log_of(rows, n_cases=4):
    """Executions (cycle, case, verdict, duration), in the order of their cycles."""
    columns = list(zip(*rows, strict=True)) or [(), (), (), ()]
    cycle = np.array(columns[0], np.int32)
    return ExecutionLog(
        n_cases, tuple(map(str, range(int(cycle.max(initial=-1)) + 1))), np.array(columns[1], np.int32), cycle,
        np.array(columns[2], np.int8), np.array(columns[3], float), np.full(len(rows), math.nan),
    )  # fmt: skip


def until(log, cycle):
    """The log as it was before a cycle began."""
    earlier = log.cycle < cycle
    columns = (log.case, log.cycle, log.verdict, log.duration_ms, log.started)
    starts = None if log.earlier_start is None else log.earlier_start[: int(earlier.sum()) + 1]
    return ExecutionLog(
        log.n_cases, log.cycles[:cycle], *(column[earlier] for column in columns), log.earlier_verdicts, starts
    )


@st.composite
def executions(draw):
    rows = draw(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3), st.sampled_from([-1, 0, 1]),
                                   st.sampled_from([math.nan, 0.0, 3.25, 1e4, 1e300])), max_size=25))  # fmt: skip
    return sorted(rows, key=lambda row: row[0])


# -- nothing of the cycle to come is known -----------------------------------------------------------------------------


@given(rows=executions().filter(bool))
def test_the_next_cycle_has_the_features_that_it_is_recorded_with_later(rows):
    log = log_of(rows)
    recorded = extract_features(PROJECT, log)
    for cycle in set(log.cycle.tolist()):
        inside = log.cycle == cycle
        assert np.array_equal(next_cycle_features(PROJECT, until(log, cycle), log.case[inside]), recorded[inside])


@pytest.mark.skipif(not IOFROL.is_file(), reason="iofrol.csv is not at ../shared/data/iofrol")
def test_so_has_that_of_a_source_which_records_earlier_verdicts_itself():
    result = load(str(IOFROL))
    recorded = extract_features(result.project, result.log)
    inside = result.log.cycle == 160
    before = until(result.log, 160)
    assert np.array_equal(next_cycle_features(result.project, before, result.log.case[inside]), recorded[inside])


def test_without_results_only_case_features_are_set():
    planned = next_cycle(PROJECT, empty_log(PROJECT))
    history = FEATURES.index("verdict_1_ago")
    default = default_features()[history:]
    assert np.array_equal(planned.features[:, history:], np.tile(default, (4, 1)))
    assert np.isnan(planned.expected_ms).all()
    assert planned.last_verdict.tolist() == [-1] * 4


def test_a_planned_case_counts_its_verdicts():
    planned = next_cycle(PROJECT, log_of([(0, 0, 1, 5), (0, 1, 0, 5), (1, 0, 0, 5), (1, 0, -1, 5), (2, 2, -1, 5)]))
    assert planned.runs.tolist() == [2, 1, 0, 0]
    assert planned.failures.tolist() == [1, 0, 0, 0]
    assert planned.last_verdict.tolist() == [0, 0, -1, -1]


def test_verdicts_before_the_first_cycle_are_used():
    log = log_of([(0, 1, 0, 5), (1, 1, 0, 5)])
    recorded = dataclasses.replace(
        log, earlier_verdicts=np.array([1, 1, 0, 1, 1], np.int8), earlier_start=np.array([0, 2, 5])
    )
    planned = next_cycle(PROJECT, recorded)
    assert planned.runs.tolist() == [0, 4, 0, 0]
    assert planned.failures.tolist() == [0, 2, 0, 0]


def test_deprecated_and_muted_cases_are_counted_and_left_out():
    fields = [{"status": "deprecated", "is_muted": True}, {"is_muted": True}, {"status": "draft"}, {}]
    project = Project(cases=tuple(Case(id=i + 1, title="t", **values) for i, values in enumerate(fields)))
    planned = next_cycle(project, empty_log(project))
    assert planned.case.tolist() == [2, 3]
    assert planned.left_out == {"deprecated": 1, "muted": 1}


def test_a_case_takes_its_mean_or_the_median_of_all_and_only_executions_that_ended_count():
    rows = [(0, 0, 0, 100.0), (0, 1, 1, 7.0), (1, 0, 1, 200.0), (1, 1, -1, 1e6), (2, 2, -1, 0.0), (2, 0, 0, math.nan)]
    expected, guessed = expected_durations(log_of(rows), np.arange(4))
    assert expected.tolist() == [150.0, 7.0, 100.0, 100.0]  # the median of 7, 100, 200
    assert guessed.tolist() == [False, False, True, True]


# -- the order, and what fits ------------------------------------------------------------------------------------------

cases = st.lists(st.tuples(st.integers(-3, 3), st.floats(0, 1e6)), min_size=1, max_size=30)


@given(cases=cases, budget=st.floats(0, 1e7))
def test_the_order_is_by_score_and_the_budget_holds_the_longest_prefix_that_ends_in_time(cases, budget):
    scores, expected = np.array([c[0] for c in cases], np.float32), np.array([c[1] for c in cases])
    result = order_cases(expected, scores, budget)
    assert result.order.tolist() == sorted(range(len(cases)), key=lambda i: (-cases[i][0], i))  # ties as listed
    assert result.scores.tolist() == [cases[i][0] for i in result.order]
    ends, spent = [], 0.0
    for i in result.order:
        spent += cases[i][1]
        ends.append(spent)
    assert result.total_ms == pytest.approx(ends)
    for rank, end in enumerate(ends):  # sums may differ in their last digit
        assert (rank < result.within) == (end <= budget) or end == pytest.approx(budget)


@given(cases=cases, budgets=st.tuples(st.floats(0, 1e7), st.floats(0, 1e7)))
def test_more_time_never_lets_fewer_cases_run_and_all_of_it_lets_all(cases, budgets):
    scores, expected = np.array([c[0] for c in cases], np.float32), np.array([c[1] for c in cases])
    less, more = (order_cases(expected, scores, budget).within for budget in sorted(budgets))
    assert less <= more <= order_cases(expected, scores, math.inf).within == len(cases)
    assert order_cases(expected, scores, float(expected.sum())).within == len(cases)


# -- the CSV -----------------------------------------------------------------------------------------------------------


def rows_of(text):
    return list(csv.DictReader(io.StringIO(text, newline="")))


texts = st.text(
    st.sampled_from("=+-@\t\r\n,\"';a 1é\uff1d\uff0b\uff0d\uff20\x1b\x00\x9b\u202e\ufeff\u200b\u3000"),
    min_size=1,
    max_size=6,
)


def read_by_a_spreadsheet(cell):
    """What some spreadsheet takes a cell for: without blanks and what is invisible before it, with narrow signs."""
    visible = [letter for letter in cell if letter.isprintable() and not letter.isspace()]
    return unicodedata.normalize("NFKC", "".join(visible))


@given(titles=st.lists(texts, min_size=1, max_size=5), suite=texts)
def test_no_text_is_a_formula_and_none_is_lost(titles, suite):
    listed = [Case(id=i + 1, title=title, suite_id=1) for i, title in enumerate(titles)]
    project = build_project([CaseSuite(id=1, title=suite)], listed, "here")
    planned = next_cycle(project, empty_log(project))
    rows = rows_of(to_csv(project, planned, order_cases(planned.expected_ms, np.zeros(len(titles)), math.inf)))
    assert [row["case_id"] for row in rows] == [str(i + 1) for i in range(len(titles))]
    for row, case in zip(rows, project.cases, strict=True):
        for cell, text in ((row["title"], case.title), (row["suite"], project.suites[0].title)):
            assert not read_by_a_spreadsheet(cell).startswith(("=", "+", "-", "@"))
            assert not cell.startswith(("\t", "\r", "\n"))
            assert cell.removeprefix("'" * (cell[0] != text[0])) == escape_controls(text, keep="\n\t")
            assert escape_controls(cell, keep="\n\t") == cell


@pytest.mark.parametrize(
    "text", ["=1+1", " =1+1", "\uff1d1+1", "\ufeff@SUM(1)", "\x1b=1", "\ta", "\n-1", "\u3000\uff0b1"]
)
def test_a_formula_gets_an_apostrophe(text):
    assert spreadsheet_text(text).startswith("'")


@pytest.mark.parametrize("text", ["a=1", "1-1", "'=1", "", "é\nb", "\u3000日本"])
def test_other_text_stays(text):
    assert spreadsheet_text(text) == text


# -- the command -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def disk(tmp_path_factory):
    """An export, the results of all cycles but the last, and of all: every cycle runs every case."""
    folder = tmp_path_factory.mktemp("qase")
    rng = np.random.default_rng(3)
    listed = [Case(id=i + 1, title=f"case {i}", suite_id=i % 3 + 1) for i in range(BIG)]
    project = build_project([CaseSuite(id=i, title=f"suite {i}") for i in (1, 2, 3)], listed, "here")
    (folder / "export.json").write_text(json.dumps(write_json_export(project)))
    lines = []
    for cycle in range(CYCLES):
        for case in listed:
            failed = case.id == 1 + cycle % BIG or rng.random() < case.id / 40
            times = {"start_time": 1.7e9 + 86_400 * cycle, "duration": 1000.0 * case.id + rng.integers(0, 99)}
            status = {"status": "failed" if failed else "passed", **times}
            lines.append(json.dumps({"run_id": cycle + 1, "title": "t", "testops_id": case.id, "execution": status}))
    (folder / "results.jsonl").write_text("\n".join(lines))
    (folder / "before.jsonl").write_text("\n".join(lines[:-BIG]))
    return folder


@pytest.fixture(scope="module")
def trained(disk):
    """A run of a second on all results."""
    directory = disk / "run"
    directory.mkdir()
    small = [
        "agent.n_envs=8",
        "agent.n_steps=32",
        "agent.batch_size=64",
        "log_every=1024",
        "validation.every=1024",
        "validation.episodes=2",
    ]
    overrides = ["env=qase", "env.data=qase", f"env.path={disk}/export.json", f"env.results={disk}/results.jsonl"]
    config = configs.load(compose(ROOT / "conf", [*overrides, *small, "total_steps=2048"]))
    train(config, directory, tracker=open_tracker(config.tracker, run_dir=directory, config=config.to_dict()))
    return directory


@pytest.fixture
def run_prioritise(disk, tmp_path, monkeypatch, capsys):
    """`run_prioritise(arguments…)` -> status, stdout, stderr (one line), rows of the CSV; in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("QASE_DATA_PATH", raising=False)

    def run(*arguments, results="before.jsonl"):
        options = ["qase", "prioritise", str(disk / "export.json"), *map(str, arguments)]
        status = main([*options, "--results", str(disk / results)] if results else options)
        output, file = capsys.readouterr(), tmp_path / "prioritised.csv"
        rows = rows_of(file.read_bytes().decode()) if file.exists() else None
        return status, output.out, " ".join(output.err.split()), rows

    return run


def test_the_list_shows_policy_budget_and_remaining_cases(run_prioritise, tmp_path):
    status, out, _, rows = run_prioritise("--budget", "30s", "--show", "5")
    assert status == 0
    assert "baseline:failure_rate, because there is no finished run of env=qase below outputs/" in out
    assert "and 7 more" in out
    assert len(rows) == BIG
    assert tuple(rows[0]) == COLUMNS
    assert [row["rank"] for row in rows] == [str(i + 1) for i in range(BIG)]
    rates = [float(row["failure_rate"]) for row in rows]
    assert rates == sorted(rates, reverse=True)
    assert [float(row["score"]) for row in rows] == pytest.approx(rates, abs=1e-4)
    inside = [row["within_budget"] == "yes" for row in rows]
    assert inside == [float(row["total_ms"]) <= 30_000 for row in rows]
    assert f"{sum(inside)} of 12 cases fit in 30s" in out
    assert 0 < sum(inside) < 5
    assert "-- 30s end here --" in out
    assert out.index("-- 30s end here --") > out.index(rows[sum(inside) - 1]["title"])
    assert [file.name for file in tmp_path.iterdir()] == ["prioritised.csv"]  # nothing is left half written


def test_a_run_gives_the_scores_that_its_gate_sees_when_the_cycle_is_recorded(run_prioritise, disk, trained):
    status, out, _, rows = run_prioritise("--policy", trained)
    assert status == 0
    assert "named with --policy" in out
    assert str(disk / "export.json") in out
    config = Config(data="qase", path=str(disk / "export.json"), results=str(disk / "results.jsonl"))
    gate = load_dataset(config).parts["test"]
    assert gate.names[-1] == str(CYCLES)
    last = slice(gate.start[-2], gate.start[-1])
    policy = load_policy(str(trained), Spaces.of(config, DOMAIN.make(config, n_envs=1, part="test")), config)
    obs = gate.features[last]
    policy_scores = scores(policy, obs, policy.act(obs, True), True, {})
    listed = load_dataset(config).project.cases
    expected = {listed[case].id: score for case, score in zip(gate.case[last], policy_scores, strict=True)}
    assert {int(row["case_id"]) for row in rows} == set(expected)
    for row in rows:
        assert float(row["score"]) == pytest.approx(expected[int(row["case_id"])], rel=1e-4)
    assert len(set(policy_scores.tolist())) > 1


RATE = FEATURES.index("failure_rate")


@pytest.fixture
def two_runs(tmp_path, monkeypatch):
    """The older one runs cases first that failed in more than a third of their runs, the newer one last."""
    monkeypatch.setitem(AGENTS, "fake", fake_agent.ENTRY)
    rule = np.zeros(len(FEATURES))
    rule[RATE] = 1.0
    for day, (name, sign) in enumerate({"old": 1.0, "new": -1.0}.items()):
        path = tmp_path / "outputs/day" / name
        write_run(path, "qase", rule=sign * rule, bias=(sign / 3, *[0.0] * 7), info={"started": f"2026-01-0{day + 1}"})
    write_run(tmp_path / "outputs/day/broken", "qase", status="failed", rule=rule, info={"started": "2026-02-01"})
    write_run(tmp_path / "outputs/day/other", "cartpole", info={"started": "2027-01-01"})


def validation_apfd(disk, spec):
    config = Config(data="qase", path=str(disk / "export.json"), results=str(disk / "before.jsonl"))
    cycles = DOMAIN.episodes(config, "validation")
    vector = DOMAIN.make(config, n_envs=cycles, part="validation", autoreset=False)
    policy = load_policy(spec, Spaces.of(config, vector), config)
    return metrics.compute("apfd", rollout.play(vector, policy, seeds=range(cycles), order=0), config)


@pytest.mark.parametrize("baselines", [choose_policy.BASELINES, ("baseline:random",)])
def test_the_best_on_validation_cycles_is_the_default(run_prioritise, two_runs, disk, monkeypatch, baselines):
    monkeypatch.setattr(choose_policy, "BASELINES", baselines)
    values = {spec: validation_apfd(disk, spec) for spec in (*baselines, "outputs/day/old", "outputs/day/new")}
    assert values["outputs/day/new"] < values["outputs/day/old"]
    status, out, _, rows = run_prioritise()
    best = max(values, key=values.__getitem__)
    assert (status, len(rows)) == (0, BIG)
    assert f"{best}, the best on " in out
    assert "2 finished runs" in out
    assert "baseline:failure_rate, named" in run_prioritise("--policy", "baseline:failure_rate")[1]


def test_without_validation_cycles_the_newest_finished_run_is_taken(run_prioritise, two_runs):
    status, out, _, _ = run_prioritise(results=None)
    assert status == 0
    assert "outputs/day/new, the newest finished run of env=qase below outputs/, since none can be compared" in out


def test_a_run_that_cannot_play_is_passed_over(run_prioritise, two_runs, tmp_path):
    shutil.rmtree(tmp_path / "outputs/day/old/snapshots")
    status, out, _, _ = run_prioritise()
    assert status == 0
    assert "1 passed over" in out
    assert "the best on" in out


@pytest.mark.parametrize(
    ("policy", "sentence"),
    [
        ("baseline:optimal", "orders by the verdict of each case, which is unknown before it runs"),
        ("baseline:best", "baseline:best is not a baseline of qase"),
        ("python:os:getcwd", "add --trust"),
        ("nowhere", "'nowhere' is neither a run directory nor a policy"),
        ("cartpole", "holds a policy for cartpole with observations of shape (4,), not for qase with (64,)"),
    ],
)
def test_a_policy_that_does_not_fit_is_refused_and_nothing_is_written(run_prioritise, tmp_path, policy, sentence):
    write_run(tmp_path / "cartpole")
    status, out, err, rows = run_prioritise("--policy", policy)
    assert (status, out, rows) == (2, "", None)
    assert err.startswith("error: ")
    assert sentence in err


@pytest.mark.parametrize("policy", ["as_listed", "last_failed_first", "random", "logistic_regression"])
def test_every_baseline_that_knows_no_verdict_orders(run_prioritise, policy):
    status, _, _, rows = run_prioritise("--policy", f"baseline:{policy}")
    assert status == 0
    assert sorted(int(row["case_id"]) for row in rows) == list(range(1, BIG + 1))
    if policy == "as_listed":
        listed = [i + 1 for suite in range(3) for i in range(suite, BIG, 3)]
        assert [int(row["case_id"]) for row in rows] == listed


def test_equal_scores_are_run_as_listed(run_prioritise):
    *_, rows = run_prioritise("--policy", "constant:3")
    *_, listed = run_prioritise("--policy", "baseline:as_listed")
    assert [row["case_id"] for row in rows] == [row["case_id"] for row in listed]


@pytest.mark.parametrize("budget", ["20", "", "0s", "-5m", "20 m", "0.25", "1e9h", "m20", "20min", f"{'9' * 400}h"])
def test_a_budget_that_is_no_time_is_one_sentence(run_prioritise, budget):
    status, out, err, rows = run_prioritise(f"--budget={budget}")
    assert (status, out, rows) == (2, "", None)
    assert re.match(r"error: --budget .* is not a time: give a time such as 90s, 20m or 1h30m$", err)


def test_a_budget_needs_durations_and_says_so(run_prioritise):
    status, out, err, rows = run_prioritise("--budget", "20m", results=None)
    assert (status, out, rows) == (2, "", None)
    assert err == (
        "error: --budget 20m needs durations, and no result has one: give results with durations "
        "as --results, or leave out --budget"
    )


def test_without_results_the_cases_alone_are_ordered(run_prioritise):
    status, out, _, rows = run_prioritise(results=None)
    assert status == 0
    assert "0 have an earlier verdict, 0 of them failed at least once; 12 have none" in out
    assert {(row["last_verdict"], row["failure_rate"], row["expected_ms"], row["total_ms"]) for row in rows} == {
        ("",) * 4
    }
    assert "budget" not in out


def test_a_budget_for_nothing_and_for_everything(run_prioritise):
    assert "0 of 12 cases fit in 1ms and take 0ms" in run_prioritise("--budget", "1ms")[1]
    out = run_prioritise("--budget", "9h", "--show", "0")[1]
    assert "12 of 12 cases fit in 9h" in out
    assert "end here" not in out
    assert "more: " not in out


def test_titles_are_text_on_any_stream(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    title = "\x1b[31m[bold]=né\u202e"
    project = build_project([CaseSuite(id=1, title="@SUM(1)")], [Case(id=1, title=title, suite_id=1)], "here")
    Path("e.json").write_text(json.dumps(write_json_export(project)))
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    assert main(["qase", "prioritise", "e.json"]) == 0
    stream.flush()
    printed = stream.buffer.getvalue().decode("ascii")
    assert "\x1b" not in printed
    assert "[bold]=n" in printed
    assert rows_of(Path("prioritised.csv").read_bytes().decode())[0]["suite"] == "'@SUM(1)"


def test_what_is_read_is_not_overwritten_and_a_place_that_cannot_be_written_is_named(run_prioritise, disk, tmp_path):
    before = (disk / "export.json").read_bytes()
    status, _, err, _ = run_prioritise("--out", disk / "export.json")
    assert status == 2
    assert "would overwrite an input file" in err
    assert (disk / "export.json").read_bytes() == before
    status, _, err, _ = run_prioritise("--out", tmp_path / "nowhere/list.csv")
    assert status == 2
    assert "list.csv cannot be written (No such file or directory)" in err


def test_results_without_cases_are_an_error(disk, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["qase", "prioritise", str(disk / "results.jsonl")]) == 2
    assert "has results but no cases" in " ".join(capsys.readouterr().err.split())


@pytest.mark.skipif(not V1.is_file(), reason="the Qase exports are not at ../shared/data/qase")
def test_the_real_export_with_the_real_results(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["qase", "prioritise", str(V1), "--results", str(REPORT), "--budget", "1m"]) == 0
    out = capsys.readouterr().out
    rows = rows_of(Path("prioritised.csv").read_bytes().decode())
    assert len(rows) == 120
    assert "119 of 134 results match no case" in out
    by_id = {row["case_id"]: row for row in rows}
    # cases 2 and 3 failed once and never ran otherwise: their result files say so
    failed = [json.loads(file.read_text()) for file in (REPORT / "results").glob("*.json")]
    durations = {str(i): r["execution"]["duration"] for r in failed for i in r["testops_ids"] or () if i in (2, 3)}
    for key, duration in durations.items():
        assert by_id[key]["last_verdict"] == "failed"
        assert float(by_id[key]["expected_ms"]) == duration
        assert by_id[key]["guessed"] == "no"
    assert len(durations) == 2
