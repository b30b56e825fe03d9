"""Which items pytest collects from suites, and what collecting needs."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET

import pytest

from tests.pytest_plugin.pole_project import ROOT, SUITE, not_judged, output, write_run

pytest_plugins = "pytester"

CONFTEST = """\
OPTIONS = "run", "train-missing", "data", "trust", "outputs", "gate-cache", "ledger"

def pytest_addoption(parser):
    for option in OPTIONS:
        parser.addoption(f"--{option}")
        parser.addini(option.replace("-", "_"), "theirs")
"""


def test_a_project_may_have_options_of_any_name_but_ours(project):
    write_run(project.path / "outputs" / "run")
    project.makeconftest(CONFTEST)
    theirs = "def test_theirs(pytestconfig):\n    assert pytestconfig.getoption('--data') == 'data of theirs'"
    project.makepyfile(theirs)
    result = project.runpytest_inprocess("--data", "data of theirs", "--trust=no", "--rl-gate-cache=off")
    result.assert_outcomes(passed=3, failed=1)


def test_all_options_have_our_prefix(pytestconfig):
    (group,) = (group for group in pytestconfig._parser._groups if group.name == "rl_eval")
    options = [option for added in group.options for option in added.names()]
    assert len(options) >= 7
    assert all(option.startswith("--rl-") for option in options)
    assert all(option.dest.startswith("rl_eval_") for option in group.options)


def test_suites_outside_of_the_root_have_ids_of_their_own(project, tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "pole.yaml").write_text(SUITE)
    root = ("--rootdir", str(project.path))
    one, two = (os.path.relpath(tmp_path / name / "pole.yaml", project.path) for name in ("one", "two"))
    result = project.runpytest_inprocess(
        str(tmp_path / "one" / "pole.yaml"), two, tmp_path / "two", "--junitxml=report.xml", *root
    )
    assert not_judged(result) == 8
    result.stdout.fnmatch_lines([f"  {name}  python train.py env=cartpole agent=ppo" for name in (one, two)])
    cases = [(case.get("classname"), case.get("name")) for case in ET.parse("report.xml").findall(".//testcase")]
    assert len(set(cases)) == 8
    collected = project.runpytest_inprocess(f"{one}::quick", f"{tmp_path}/two", "--collect-only", "-q", *root)
    assert [line for line in collected.stdout.lines if "::" in line] == [
        f"{one}::quick", *(f"{two}::{item}" for item in ("solved", "short", "quick", "held_out"))
    ]  # fmt: skip


@pytest.mark.parametrize("plugin", ["no:cacheprovider", "no:terminal", "no:capture"])
def test_works_without_the_plugins_of_pytest(project, plugin):
    write_run(project.path / "outputs" / "run")
    assert project.runpytest_inprocess("suites/pole.yaml", "-p", plugin).ret == 1


def test_an_item_can_be_named(project):
    write_run(project.path / "outputs" / "run")
    project.runpytest_inprocess("suites/pole.yaml::solved").assert_outcomes(passed=1)


def test_only_suites_are_collected(project):
    for name in ("workflow.yaml", "config.yml"):
        (project.path / "suites" / name).write_text("jobs: {rl_eval: 1}\n!broken: [\n")
    result = project.runpytest_inprocess("--collect-only", "-q", ".")
    assert re.findall(r"^\S+::\S+$", result.stdout.str(), re.MULTILINE) == [
        "suites/pole.yaml::solved",
        "suites/pole.yaml::short",
        "suites/pole.yaml::quick",
        "suites/pole.yaml::held_out",
    ]


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("mean_return", "mean_retrun", ":8: criteria.solved.metric: 'mean_retrun' is not a metric: did you mean*"),
        ("475", "475, at_most: 500", ":8: criteria.solved: has at_least and at_most: give exactly one of *"),
        ("475", "high", ":8: criteria.solved.at_least: must be a number, such as 0.8, not 'high'"),
    ],
)  # fmt: skip
def test_a_broken_suite_is_one_sentence(project, old, new, sentence):
    (project.path / "suites" / "pole.yaml").write_text(SUITE.replace(old, new, 1))
    result = project.runpytest_inprocess("suites/")
    result.assert_outcomes(errors=1)
    assert result.ret == 2
    result.stdout.fnmatch_lines([f"suites/pole.yaml{sentence}"])
    assert "Traceback" not in output(result)


def test_the_plugin_is_light_and_collecting_imports_no_framework(project):
    heavy = ["torch", "scipy", "sklearn", "gymnasium", "pydantic", "numpy", "wandb", "rich"]
    code = f"import sys, rl_eval.pytest_plugin; print([m for m in {heavy} if m in sys.modules])"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.strip() == "[]"
    project.makepyfile("def test_passes(): pass")
    code = "import sys, pytest; status = pytest.main(['-q', '-p', 'no:hypothesispytest', '-p', 'no:anyio', '.']); "
    code += f"print(int(status), [m for m in {heavy} if m in sys.modules])"
    shutil.rmtree("suites")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.splitlines()[-1] == "0 []"
    code = "import sys; from pathlib import Path; from rl_eval.gates import load_suite; load_suite(Path(sys.argv[1])); "
    code += "print([m for m in ('torch', 'scipy', 'sklearn', 'wandb', 'polars') if m in sys.modules])"
    suite = str(ROOT / "suites" / "threat.yaml")
    done = subprocess.run(
        [sys.executable, "-c", code, suite], capture_output=True, text=True, env=environment, check=True
    )
    assert done.stdout.strip() == "[]"
