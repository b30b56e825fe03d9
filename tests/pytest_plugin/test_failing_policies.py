"""Policies that raise, end the process, or put hostile text into their errors."""

from __future__ import annotations

from tests.pytest_plugin.pole_project import SUITE, output

pytest_plugins = "pytester"


RAISES = """\
from pathlib import Path

def act(obs):
    with Path("calls").open("a") as calls:
        calls.write("x")
    deeper(obs)

def deeper(obs):
    raise KeyError("no such angle")
"""


def test_a_policy_that_raises_is_one_sentence_and_is_not_played_again(project):
    (project.path / "theirs.py").write_text(RAISES)
    project.syspathinsert()
    suite = "".join(SUITE.replace("controls: []\n", "").splitlines(keepends=True)[:-1])  # without its last criterion
    (project.path / "suites" / "pole.yaml").write_text(suite)
    result = project.runpytest_inprocess("suites/", "--rl-run", "python:theirs:act", "--rl-trust")
    result.assert_outcomes(errors=2, passed=1)  # controls and held_out do not need it
    assert (project.path / "calls").read_text() == "x"
    text = output(result)
    assert "Traceback" not in text
    result.stdout.fnmatch_lines(
        ["python:theirs:act: the policy failed with KeyError: 'no such angle' (*theirs.py:9)",
         "as suites/pole.yaml::solved"]
    )  # fmt: skip
    only = project.runpytest_inprocess("suites/", "--rl-run", "python:theirs:act", "--rl-trust", "-k", "short")
    only.stdout.fnmatch_lines(["python:theirs:act: the policy failed with KeyError*"])


def test_a_policy_that_ends_the_process_does_not_end_the_gate(project):
    """In a process of its own, which it would end with the status of a gate that passes."""
    (project.path / "theirs.py").write_text("import os\n\ndef act(obs):\n    os._exit(0)\n")
    result = project.runpytest_subprocess("suites/pole.yaml", "--rl-run", "python:theirs:act", "--rl-trust")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["python:theirs:act: the policy failed with SystemExit: os._exit(0) was called*"])


def test_no_control_character_and_no_secret_reaches_the_terminal_or_junit(project):
    project.makepyfile(hostile="def act(obs):\n    raise ValueError('no \\x1b[31m\\u202e http://u:pw@h/?key=abc')\n")
    project.syspathinsert()
    arguments = ("suites/", "--rl-trust", "--junitxml=report.xml", "--rl-gate-cache=off", "--color=no")
    raising = output(project.runpytest_inprocess(*arguments, "--rl-run", "python:hostile:act"))
    junit = (project.path / "report.xml").read_text()
    for text in (raising, junit):
        assert "http://u:***@h/?key=***" in text
        assert not {"\x1b", "\u202e"} & set(text)
    unreachable = output(project.runpytest_inprocess(*arguments, "--rl-run", "http://127.0.0.1:9/act?token=hunter2"))
    refused = output(project.runpytest_inprocess(*arguments, "--rl-run", "http://user:hunter2@127.0.0.1:9/act"))
    assert "http://127.0.0.1:9/act" in unreachable
    assert "http://user:***@127.0.0.1:9/act" in refused
    assert "hunter2" not in unreachable + refused + (project.path / "report.xml").read_text()
