"""Extras and data that suites need: what is missing, and what `--rl-data` names."""

from __future__ import annotations

import numpy as np
import pytest

from rl_eval.gates.needs import EXTRAS
from tests.pytest_plugin.pole_project import not_judged, output, write_run

pytest_plugins = "pytester"


def test_an_extra_that_is_not_there_is_an_error_with_its_command_and_leaves_its_suite_out(project, monkeypatch):
    monkeypatch.setitem(EXTRAS, "llm", ("no_such_package",))
    suite = project.path / "suites" / "pole.yaml"
    suite.write_text(suite.read_text().replace("rl_eval: 1", "rl_eval: 1\nneeds: [llm]"))
    result = project.runpytest_inprocess("suites/", "--rl-train-missing")
    assert not_judged(result) == 4
    result.stdout.fnmatch_lines(
        ["NOT JUDGED suites/pole.yaml: *needs llm (no_such_package not installed): pip install 'rl_eval[[]llm[]]'*"]
    )
    (project.path / "sets").mkdir()
    result = project.runpytest_inprocess("suites/", "--rl-data", "sets")
    result.assert_outcomes(deselected=4)
    result.stdout.fnmatch_lines(["deselected, because something that they need is missing: suites/pole.yaml (llm *"])


def test_data_that_is_not_there_leaves_its_suite_out(project):
    (project.path / "suites" / "nsl.yaml").write_text(
        "rl_eval: 1\nenv: {name: threat, data: nsl_kdd}\ncontrols: []\nleaks: report\n"
        "criteria: {f1: {metric: f1, at_least: 0.1, by: estimate}}\n"
    )
    write_run(project.path / "outputs" / "run")
    (project.path / "sets").mkdir()
    result = project.runpytest_inprocess("suites/", "--rl-train-missing", "--rl-data", "sets")
    result.assert_outcomes(passed=2, failed=1, deselected=2)
    result.stdout.fnmatch_lines(
        ["deselected, because something that they need is missing: suites/nsl.yaml (no *sets/nsl-kdd)"]
    )
    named = (project.path / "suites" / "nsl.yaml").read_text().replace("controls:", "data: elsewhere\ncontrols:")
    (project.path / "suites" / "nsl.yaml").write_text(named)
    result = project.runpytest_inprocess("suites/", "--rl-train-missing", "--rl-data", "sets")
    result.stdout.fnmatch_lines(
        ["deselected, because something that they need is missing: suites/nsl.yaml (no *sets/elsewhere)"]
    )
    result = project.runpytest_inprocess("suites/nsl.yaml", "--rl-train-missing")
    assert not_judged(result) == 2


def test_data_by_name(project):
    rows = "".join(f"{x},{x % 2}\n" for x in range(200))
    for month in ("jan", "feb"):
        (project.path / f"{month}.csv").write_text(f"x,label\n{rows if month == 'jan' else rows[:-2] + '0'}")
    env = {"name": "threat", "data": "csv", "label": "label"}
    (project.path / "suites" / "flows.yaml").write_text(
        "rl_eval: 1\nenv: {name: threat, data: csv, label: label}\ndata: flows\ncontrols: []\nleaks: report\n"
        "criteria: {f1: {metric: f1, at_least: 0.1, by: estimate}}\n"
    )
    run = ["--rl-run", "constant:1", "-rA"]
    suite = "suites/flows.yaml"
    result = project.runpytest_inprocess(suite, "--rl-data", "flows=feb.csv", *run)
    result.assert_outcomes(passed=1)
    for places in (["other=feb.csv"], ["flows=missing.csv"], ["missing"], ["feb.csv"], ["flows=feb.csv", "other=."]):
        options = [text for place in places for text in ("--rl-data", place)]
        result = project.runpytest_inprocess(suite, *options, *run)
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        assert places[-1] in output(result)
    info = {"data_fingerprints": {"train": "of another file"}}
    write_run(
        project.path / "outputs" / "run", {**env, "path": "jan.csv"}, rule=np.ones(1), bias=(0, 1, 0, 0), info=info
    )
    result = project.runpytest_inprocess(suite, "--rl-data", "flows=feb.csv")
    assert not_judged(result) == 2
    result.stdout.fnmatch_lines(["*outputs/run (env.path=jan.csv)*was trained on other data*"])
