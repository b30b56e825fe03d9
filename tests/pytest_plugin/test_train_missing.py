"""`--rl-train-missing` runs train.py of the project."""

from __future__ import annotations

import signal
import sys
import time

import pytest

from tests.pytest_plugin.pole_project import SPREAD, not_judged, output

pytest_plugins = "pytester"


def test_train_missing_trains_what_the_suite_needs_and_no_more(project):
    (project.path / "suites" / "pole.yaml").write_text(SPREAD)
    result = project.runpytest_inprocess("suites/", "--rl-train-missing")
    result.assert_outcomes(passed=2)
    assert "training with env=cartpole agent=ppo -m seed=1,2" in output(result)
    again = project.runpytest_inprocess("suites/", "--rl-train-missing")
    again.assert_outcomes(passed=2)
    assert "training with" not in output(again)


def test_train_missing_trains_one_seed_twice(project):
    text = SPREAD.replace("count: 2", "count: 2, same_seed: true").replace(
        "mean_return_seed_std", "same_seed_return_std"
    )
    (project.path / "suites" / "pole.yaml").write_text(text)
    result = project.runpytest_inprocess("suites/", "--rl-train-missing")
    result.assert_outcomes(passed=2)
    assert output(result).count("training with env=cartpole agent=ppo seed=42") == 2


def test_training_that_fails_is_an_error_with_its_last_line(project):
    (project.path / "train.py").write_text("import sys\nprint('starting')\nsys.exit('error: no such thing')\n")
    result = project.runpytest_inprocess("suites/", "--rl-train-missing")
    assert not_judged(result) == 4
    result.stdout.fnmatch_lines(
        ["*: `python train.py env=cartpole agent=ppo` ended with status 1: error: no such thing"]
    )  # fmt: skip


STOPPABLE = """\
import signal, sys, time
from pathlib import Path

def stop(number, frame):
    Path("stopped.txt").write_text(str(number))
    sys.exit(130)

for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, stop)
Path("training.txt").touch()
time.sleep(60)
"""


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 128 + signal.SIGTERM), (signal.SIGINT, 2)])
def test_a_signal_to_pytest_alone_stops_the_training(project, number, status):
    (project.path / "train.py").write_text(STOPPABLE)
    command = [sys.executable, "-m", "pytest", "suites/", "--rl-train-missing"]
    process = project.popen(command)
    while not (project.path / "training.txt").exists():
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(number)
    process.wait(timeout=60)
    assert process.returncode == status
    assert (project.path / "stopped.txt").read_text() == str(int(number))


@pytest.mark.parametrize("pyproject", [None, '[project]\nname = "theirs"\n', "[project]\n", "project = []\n"])
def test_the_train_py_of_another_project_is_not_run(project, pyproject):
    """A repository that only judges: its train.py is its own, and may do anything."""
    (project.path / "train.py").write_text("from pathlib import Path\nPath('trained.txt').touch()\n")
    (project.path / "pyproject.toml").unlink()
    if pyproject is not None:
        (project.path / "pyproject.toml").write_text(pyproject)
    result = project.runpytest_inprocess("suites/", "--rl-train-missing")
    assert not_judged(result) == 4
    result.stdout.fnmatch_lines(
        ["NOT JUDGED suites/pole.yaml: --rl-train-missing trains, which needs a checkout of the project*--rl-run"]
    )
    assert not (project.path / "trained.txt").exists()


def test_without_a_checkout_nobody_is_told_to_train(project):
    (project.path / "pyproject.toml").unlink()
    (project.path / "suites" / "spread.yaml").write_text(SPREAD)
    result = project.runpytest_inprocess("suites/", "--junitxml=report.xml")
    assert not_judged(result) == 7
    result.stdout.fnmatch_lines(
        [
            "NOT JUDGED suites/pole.yaml, suites/spread.yaml: no finished run in outputs fits this suite: name a "
            "policy or a run with --rl-run"
        ]
    )
    for text in (output(result), (project.path / "report.xml").read_text()):
        assert "train.py" not in text
        assert "train-missing" not in text
