"""What a session leaves for CI: JUnit, annotations, a summary page, a verdict file with its page, a badge."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path
from types import SimpleNamespace

import pytest

import rl_eval.gates  # pytester forgets what a session inside this process imports; what is imported before, it shares
import rl_eval.terminal  # noqa: F401
from rl_eval.errors import InputError
from rl_eval.gates.verdict_file import read_suite_verdicts
from rl_eval.pytest_plugin._badge import badge, write_badge
from rl_eval.pytest_plugin._github import error_commands
from rl_eval.report import write_report

pytest_plugins = "pytester"

SUITE = """\
rl_eval: 1
env: cartpole
episodes: {fixed: 5, min: 5, max: 40, return_bounds: [0, 500]}
controls: []
criteria:
  falls: {metric: mean_return, at_most: 50}
  solved: {metric: mean_return, at_least: 475}
  long: {metric: mean_length, at_least: 475, by: estimate}
"""


@pytest.fixture
def project(pytester, monkeypatch):
    monkeypatch.setenv("PYTEST_ADDOPTS", "-p no:hypothesispytest -p no:anyio")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    for name in ("PYTEST_XDIST_WORKER", "GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY", "GITHUB_WORKSPACE"):
        monkeypatch.delenv(name, raising=False)
    (pytester.path / "suites").mkdir()
    (pytester.path / "suites" / "pole.yaml").write_text(SUITE)
    pytester.makeini("[pytest]\n")
    return pytester


def properties(file):
    cases = ET.parse(file).findall(".//testcase")
    return {case.get("name"): {p.get("name"): p.get("value") for p in case.iter("property")} for case in cases}


@pytest.mark.parametrize("workers", [(), ("-n", "1")], ids=["one process", "xdist"])
def test_one_session_writes_everything_once(project, monkeypatch, workers):
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_WORKSPACE", str(project.path))
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(project.path / "summary.md"))
    options = ("--rl-verdict", "made/gate.json", "--rl-badge", "badge.json", "--junitxml=gate.xml", *workers)
    result = project.runpytest_inprocess("suites/", "--rl-run", "constant:1", *options)
    assert result.ret == 1
    commands = [line for line in result.stdout.lines if line.startswith("::")]
    assert [
        re.match(r"::error file=suites/pole.yaml,line=(\d+),title=FAIL pole%3A%3A(\w+)::", c).groups() for c in commands
    ] == [
        ("7", "solved"),
        ("8", "long"),
    ]
    summary = (project.path / "summary.md").read_text()
    assert summary.count("### ❌ suites/pole.yaml") == 1 == summary.count("| long |")
    assert re.search(
        r"\| falls \| mean\\_return \| [\d.]+ \| [\d.]+ to [\d.]+ \| ≤ 50 \| \d+ episodes \| ✅ PASS after \d+ \|",
        summary,
    )
    assert json.loads((project.path / "badge.json").read_text()) == {
        "schemaVersion": 1,
        "label": "rl_eval",
        "message": "1 of 3 criteria pass",
        "color": "red",
    }
    (verdict,) = read_suite_verdicts(project.path / "made" / "gate.json")
    assert verdict.runs == ("constant:1",)
    decisions = {row.criterion: row.decision for row in verdict.criteria}
    assert decisions == {"falls": "PASS", "solved": "FAIL", "long": "FAIL", "held_out": "NOT_CHECKED"}
    numbers = properties(project.path / "gate.xml")["solved"]
    assert {name: float(numbers[name]) for name in ("threshold", "units_max")} == {"threshold": 475, "units_max": 40}
    assert 0 <= float(numbers["interval_low"]) <= float(numbers["estimate"]) <= float(numbers["interval_high"]) < 475


def test_junit_says_what_was_decided_where_nothing_can_be_judged(project, monkeypatch):
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    result = project.runpytest_inprocess(
        "suites/", "--junitxml=gate.xml", "--rl-verdict", "gate.json", "--rl-badge", "b.svg"
    )
    assert sum(line.startswith("::error ") for line in result.stdout.lines) == 1
    items = properties(project.path / "gate.xml")
    assert set(items) == {"falls", "solved", "long", "held_out"}
    for values in items.values():
        assert values["decision"] == "ERROR"
        assert "no finished run" in values["detail"]
    assert items["solved"]["metric"] == "mean_return"
    (verdict,) = read_suite_verdicts(project.path / "gate.json")
    assert verdict.decision == "ERROR"
    assert "0 of 4 criteria pass" in (project.path / "b.svg").read_text()


def test_a_broken_suite_is_an_annotation_on_its_line(project, monkeypatch):
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    (project.path / "suites" / "pole.yaml").write_text(SUITE.replace("mean_length", "mean_lenght"))
    result = project.runpytest_inprocess("suites/", "--rl-run", "constant:1")
    assert result.ret == 2
    (command,) = (line for line in result.stdout.lines if line.startswith("::"))
    assert command.startswith("::error file=")
    assert ",line=8,title=the suite is not valid::" in command
    assert "'mean_lenght' is not a metric" in command


def test_criteria_that_share_a_reason_share_an_annotation(project, monkeypatch):
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    result = project.runpytest_inprocess("suites/")
    (command,) = (line for line in result.stdout.lines if line.startswith("::"))
    assert re.search(r"title=ERROR pole%3A%3A\w+ and 3 more::.*no finished run", command)


@pytest.mark.parametrize("name", ["a\n::error::b.yaml", "a::b.yaml"])
def test_a_suite_with_a_name_that_github_would_obey_is_refused(project, name):
    (project.path / "suites" / name).write_text(SUITE)
    result = project.runpytest_inprocess("suites/", "--rl-run", "constant:1")
    assert result.ret == 2
    assert not [line for line in result.outlines if line.startswith("::")]
    result.stdout.fnmatch_lines(["*is no name for a suite: rename it*"])


def test_text_of_others_ends_no_command_and_stays_text_in_a_page(project, monkeypatch):
    """A policy names itself, and what it raises is shown."""
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(project.path / "summary.md"))
    raised = "raise ValueError('50%\\\\r\\\\n::add-mask::x | <b>*bold*</b>')"
    project.makepyfile(theirs=f"def act(obs):\n    {raised}\n".replace("\\\\", "\\"))
    monkeypatch.syspath_prepend(project.path)
    result = project.runpytest_inprocess("suites/", "--rl-run", "python:theirs:act", "--rl-trust")
    commands = [line for line in result.stdout.lines if line.startswith("::")]
    assert len(commands) == 2  # the second says that the others fail as the first
    assert all(command.startswith("::error file=") for command in commands)
    assert "50%25 ::add-mask::x" in commands[0]
    summary = (project.path / "summary.md").read_text()
    assert "<b>" not in summary
    assert r"\| &lt;b&gt;\*bold\*&lt;/b&gt;" in summary


def test_a_file_that_cannot_be_written_fails_the_session(project):
    (project.path / "taken").write_text("")
    result = project.runpytest_inprocess(
        "suites/pole.yaml::falls", "--rl-run", "constant:1", "--rl-verdict", "taken/gate.json"
    )
    assert result.ret == 1
    result.stdout.fnmatch_lines(["--rl-verdict taken/gate.json cannot be written (*)"])
    result = project.runpytest_inprocess("suites/", "--rl-badge", "badge.png")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*badge.png names no kind of badge: end it in .svg*"])


def test_at_most_ten_annotations_since_github_shows_no_more(tmp_path):
    def report(index):
        return SimpleNamespace(
            nodeid=f"a.yaml::{index}",
            when="call",
            location=("a.yaml", index, ""),
            user_properties=[
                ("decision", "FAIL"),
                ("suite", "a"),
                ("criterion", str(index)),
                ("detail", f"misses by {index}"),
            ],
        )

    config = SimpleNamespace(rootpath=tmp_path)
    reporter = SimpleNamespace(stats={"failed": [report(index) for index in range(30)]}, config=config)
    assert len(list(error_commands(reporter, tmp_path))) == 10


@pytest.mark.parametrize(
    ("decisions", "message", "colour"),
    [
        (["PASS", "PASS", "NOT_CHECKED"], "2 of 2 criteria pass", "green"),
        (["PASS", "INCONCLUSIVE"], "1 of 2 criteria pass", "red"),
        (["NOT_CHECKED"], "not judged", "red"),
        ([], "not judged", "red"),
    ],
)
def test_a_badge_is_green_only_if_everything_that_was_checked_passes(tmp_path, decisions, message, colour):
    assert (badge(decisions)["message"], badge(decisions)["color"]) == (message, colour)
    write_badge(tmp_path / "badge.svg", decisions)
    assert ET.parse(tmp_path / "badge.svg").getroot().get("aria-label") == f"rl_eval: {message}"


def test_the_page_on_a_verdict_file(project):
    project.runpytest_inprocess("suites/", "--rl-run", "constant:1", "--rl-verdict", "gate.json")
    page = write_report([project.path / "gate.json"])
    assert page == project.path / "gate.html"
    html = page.read_text()
    assert "Verdict on constant:1" in html
    assert "2 of 4 criteria fail" in html
    assert html.count('class="badge FAIL"') >= 2
    assert "seeded by gate_seed" in html
    for paths in ([project.path / "gate.json", project.path], [project.path / "suites" / "pole.yaml"]):
        with pytest.raises(InputError, match=r"verdict file|damaged or from another program"):
            write_report(paths)
