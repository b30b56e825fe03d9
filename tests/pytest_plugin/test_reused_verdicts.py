"""A suite is judged once: the cache, the ledger, and the workers of xdist."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.gates.fake_runs import BALANCE, FALL
from tests.pytest_plugin.pole_project import SUITE, output, write_run

pytest_plugins = "pytester"


@pytest.fixture
def _cached(monkeypatch):
    """The agent of these tests counts as one of this package, or no verdict on its runs would be cached."""
    monkeypatch.setattr("rl_eval.pytest_plugin._cache_key.added_agents", list)


@pytest.mark.usefixtures("_cached")
def test_a_verdict_is_reused_while_nothing_has_changed(project, monkeypatch):
    loads = project.path / "loads.txt"
    monkeypatch.setenv("LOG_OF_LOADS", str(loads))
    write_run(project.path / "outputs" / "run")
    # one criterion fails, so that doctor looks at the run too, and is remembered likewise
    for arguments, played in (([], 2), ([], 2), (["--rl-gate-cache=off"], 4)):
        project.runpytest_inprocess("suites/", *arguments).assert_outcomes(passed=2, failed=1)
        assert len(loads.read_text().splitlines()) == played
    (project.path / "suites" / "pole.yaml").write_text(SUITE.replace("475", "400"))
    for spelling in ("outputs/run", "./outputs/../outputs/run/", str(project.path / "outputs" / "run")):
        project.runpytest_inprocess("suites/", "--rl-run", spelling).assert_outcomes(passed=2, failed=1)
        assert len(loads.read_text().splitlines()) == 5


def test_the_ledger_counts_the_policies_judged_on_the_test_set(project):
    write_run(project.path / "outputs" / "a")
    write_run(project.path / "outputs" / "b", rule=FALL)
    for name in ("a", "b"):
        result = project.runpytest_inprocess(
            "suites/", "--rl-run", f"outputs/{name}", "--rl-ledger", "kept.jsonl", "--junitxml=report.xml"
        )
    assert len((project.path / "kept.jsonl").read_text().splitlines()) == 2
    assert "2 different policies have been judged on this test set" in (project.path / "report.xml").read_text()
    assert "2 different policies" in output(result)


def test_under_xdist_a_name_that_no_suite_has_is_a_usage_error(project):
    pytest.importorskip("xdist")
    result = project.runpytest_subprocess("suites/", "-n", "1", "--rl-data", "other=suites")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "--rl-data other=suites" in output(result)
    assert "Traceback" not in output(result)
    assert "INTERNALERROR" not in output(result)


@pytest.mark.usefixtures("_cached")
def test_a_verdict_from_the_cache_is_recorded_with_the_ledgers_note_of_today(project, monkeypatch):
    monkeypatch.setenv("LOG_OF_LOADS", str(project.path / "loads.txt"))
    for name, rule in (("a", BALANCE), ("b", FALL)):
        write_run(project.path / "outputs" / name, rule=rule)
    noted, played = [], []
    for name, ledger in (("a", "first.jsonl"), ("b", "first.jsonl"), ("a", "first.jsonl"), ("b", "second.jsonl")):
        arguments = ("--rl-run", f"outputs/{name}", "--rl-ledger", ledger, "--junitxml=report.xml")
        project.runpytest_inprocess("suites/pole.yaml::solved", "suites/pole.yaml::held_out", *arguments)
        noted.append("2 different policies" in (project.path / "report.xml").read_text())
        played.append(len((project.path / "loads.txt").read_text().splitlines()))
    assert noted == [False, True, True, False]
    assert played[1] == played[2] == played[3]  # the last two are from the cache
    lines = [len((project.path / ledger).read_text().splitlines()) for ledger in ("first.jsonl", "second.jsonl")]
    assert lines == [3, 1]


def test_under_xdist_a_suite_is_played_once(project, monkeypatch):
    pytest.importorskip("xdist")
    monkeypatch.setenv("LOG_OF_LOADS", str(project.path / "loads.txt"))
    before = set(Path(project.path).parent.glob("rl_eval-*"))
    write_run(project.path / "outputs" / "run")
    lander = "rl_eval: 1\nenv: lunarlander\ncriteria: {solved: {metric: mean_return, at_least: 200, by: estimate}}\n"
    (project.path / "suites" / "lander.yaml").write_text(lander)
    result = project.runpytest_subprocess("suites/", "-n", "2", "--dist", "load", "--junitxml=report.xml")
    result.assert_outcomes(passed=2, failed=1)
    assert (project.path / "loads.txt").read_text() == "cartpole\n" * 2  # the gate, and doctor on what failed
    result.stdout.fnmatch_lines(["solved*PASS*", "short*FAIL*", "quick*PASS*"])
    assert 'name="estimate" value="500.0"' in (project.path / "report.xml").read_text()
    result.stdout.fnmatch_lines(
        ["  judged*outputs/run*", "  test set*", "  suites/lander.yaml*python train.py env=lunarlander"]
    )
    assert set(Path(project.path).parent.glob("rl_eval-*")) == before


@pytest.mark.usefixtures("_cached")
@pytest.mark.parametrize(("name", "options"), [("conftest.py", []), ("extra_plugin.py", ["-p", "extra_plugin"])])
def test_with_a_conftest_or_a_local_plugin_nothing_is_cached(project, name, options, monkeypatch):
    monkeypatch.syspath_prepend(str(project.path))
    (project.path / name).write_text("")
    write_run(project.path / "outputs" / "run")
    project.runpytest_inprocess("suites", *options).assert_outcomes(passed=2, failed=1)
    assert not list(project.path.glob("outputs/.gate-cache/*.json"))
    (project.path / name).unlink()
    project.runpytest_inprocess("suites").assert_outcomes(passed=2, failed=1)
    assert list(project.path.glob("outputs/.gate-cache/*.json"))
