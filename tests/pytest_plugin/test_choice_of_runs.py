"""Which runs a session judges, and what it says where there are none or too few."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from rl_eval.run import write_json
from tests.gates.fake_runs import FALL
from tests.pytest_plugin.pole_project import SPREAD, not_judged, output, write_run

pytest_plugins = "pytester"


def test_suites_without_a_run_are_one_line_each_with_the_command_that_trains_it(project):
    (project.path / "suites" / "spread.yaml").write_text(SPREAD)
    nsl = "rl_eval: 1\nenv: {name: threat, data: nsl_kdd}\ncriteria: {f1: {metric: f1, at_least: 0.1, by: estimate}}\n"
    (project.path / "suites" / "nsl.yaml").write_text(nsl)
    result = project.runpytest_inprocess("suites/", "-ra", "--junitxml=report.xml")
    assert not_judged(result) == 10
    text = output(result)
    assert text.count("no finished run in outputs") == 2  # those without data apart
    result.stdout.fnmatch_lines(
        [
            "  suites/pole.yaml    python train.py env=cartpole agent=ppo",
            "  suites/spread.yaml  python train.py env=cartpole agent=ppo -m seed=1,2",
            "*--rl-data",
            "  suites/nsl.yaml  python train.py env=threat env.data=nsl_kdd 'env.path=<*>'",
        ]
    )
    assert len(text.splitlines()) < 20
    assert "Traceback" not in text
    suite = ET.parse(project.path / "report.xml").getroot()[0]
    assert (suite.get("errors"), suite.get("skipped"), suite.get("tests")) == ("3", "7", "10")
    assert all("train with `python train.py" in error.get("message") for error in suite.iter("error"))
    collected = project.runpytest_inprocess("suites/", "--collect-only", "-q")
    assert collected.ret == 0
    assert "10 tests collected" in output(collected)


@pytest.mark.parametrize(("arguments", "items"), [(["-x"], 1), (["-k", "quick"], 1), (["-k", "pole"], 4)])
def test_some_items_of_suites_without_a_run(project, arguments, items):
    (project.path / "suites" / "spread.yaml").write_text(SPREAD)
    result = project.runpytest_inprocess("suites/", *arguments)
    assert not_judged(result) == items
    assert output(result).count("python train.py env=cartpole agent=ppo") == 1
    assert "suites/spread.yaml" not in output(result)


def test_too_few_runs_is_an_error_of_the_criteria_that_need_them(project):
    (project.path / "suites" / "pole.yaml").write_text(SPREAD)
    write_run(project.path / "outputs" / "run")
    result = project.runpytest_inprocess("suites/")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*needs 2 finished runs, but there are only 1: train with*-m seed=1,2`"])


def test_named_runs(project):
    write_run(project.path / "outputs" / "newer")
    bad = write_run(project.path / "elsewhere" / "bad", rule=FALL)
    project.runpytest_inprocess("suites/", "--rl-run", "elsewhere/bad").assert_outcomes(passed=2, failed=1)
    result = project.runpytest_inprocess("suites/", "--rl-run", str(bad.path), "--rl-run", "outputs/newer", "-v")
    result.assert_outcomes(passed=1, failed=2)
    other = write_run(project.path / "lander", "lunarlander")
    result = project.runpytest_inprocess("suites/", "--rl-run", str(other.path))
    assert not_judged(result) == 4
    result.stdout.fnmatch_lines(
        ["NOT JUDGED suites/pole.yaml: lander is a run of lunarlander, but suites/pole.yaml judges cartpole: *"]
    )


def test_runs_named_by_a_word(project):
    write_run(project.path / "outputs" / "good")
    write_run(project.path / "outputs" / "newest", rule=FALL)
    write_run(project.path / "outputs" / "other", "lunarlander")
    result = project.runpytest_inprocess("suites/", "--rl-run", "latest")
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(["*judges outputs/newest *", "*latest: the newest of 2 finished runs of cartpole"])
    row = {"criterion": "solved", "decision": "PASS"}
    write_json(project.path / "outputs" / "good" / "verdict.json", {"suites": [{"suite": "pole", "criteria": [row]}]})
    result = project.runpytest_inprocess("suites/", "--rl-run", "best")
    result.stdout.fnmatch_lines(["*judges outputs/good *", "*best: the best of 2 finished runs *: PASS of pole, *"])


def test_runs_elsewhere(project):
    write_run(project.path / "kept" / "run")
    project.runpytest_inprocess("suites/", "--rl-outputs", "kept").assert_outcomes(passed=2, failed=1)
    result = project.runpytest_inprocess("suites/", "--rl-outputs", "kept", "--rl-train-missing")
    assert result.ret == pytest.ExitCode.USAGE_ERROR


def test_runs_are_looked_for_where_train_py_puts_them(project, monkeypatch):
    write_run(project.path / "outputs" / "of_the_root", rule=FALL)
    write_run(project.path / "work" / "outputs" / "of_the_working_directory")
    monkeypatch.chdir(project.path / "work")
    result = project.runpytest_inprocess("../suites/pole.yaml::solved", "--rootdir", "..")
    result.assert_outcomes(passed=1)
    assert (project.path / "work" / "outputs" / "ledger.jsonl").exists()
    assert not (project.path / "outputs" / "ledger.jsonl").exists()
