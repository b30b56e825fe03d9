"""The pytest plugin: pytest runs on small projects."""

from __future__ import annotations

import functools
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest

# pytester forgets what a session inside this process imports; what is imported before, it shares
import rl_eval.domains.lunarlander
import rl_eval.domains.threat.csv_data
import rl_eval.domains.threat.data
import rl_eval.gates
import rl_eval.terminal  # noqa: F401
from agents import AGENTS
from rl_eval.gates.needs import EXTRAS
from rl_eval.run import write_json
from tests.gates import fake_agent, fake_runs
from tests.gates.fake_runs import BALANCE, FALL

pytest_plugins = "pytester"

write_run = functools.partial(fake_runs.write_run, record=False)  # so that held_out is not checked

ROOT = Path(__file__).parents[2]
SUITE = """\
rl_eval: 1
env: cartpole
train: {agent: ppo}
episodes: {fixed: 5}
controls: []
leaks: report
criteria:
  solved: {metric: mean_return, at_least: 475, by: estimate}
  short: {metric: mean_length, at_most: 100, by: estimate}
  quick: {metric: training.wall_s, at_most: 60}
"""
SPREAD = """\
rl_eval: 1
env: cartpole
train: {agent: ppo}
runs: {count: 2}
episodes: {fixed: 5}
controls: []
leaks: report
criteria:
  solved: {metric: mean_return, at_least: 475, by: estimate}
  stable: {metric: mean_return_seed_std, at_most: 1, by: estimate}
"""
REGISTER = """
linear = "agents.fake:Linear"
register("fake", config=linear, agent=linear, load_policy="agents.fake:load")
"""
TRAIN = """\
import re, sys
from pathlib import Path
from tests.gates.fake_runs import write_run
print("training with", *sys.argv[1:])
if "env=cartpole" not in sys.argv:
    sys.exit("error: cannot")
seeds = re.search(r"seed=([0-9,]+)", " ".join(sys.argv))
for seed in seeds.group(1).split(",") if seeds else ["42"]:
    taken = len(list(Path("outputs").glob("*"))) if Path("outputs").exists() else 0
    write_run(Path("outputs") / f"trained{taken}", seed=int(seed), record=False)
"""


@pytest.fixture
def project(pytester, monkeypatch):
    """A project with a suite; policies come from the fake agent, in this process and in others."""
    monkeypatch.setitem(AGENTS, "fake", fake_agent.ENTRY)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)
    monkeypatch.setenv("COLUMNS", "120")  # a narrow table leaves the metric out
    monkeypatch.setenv("PYTEST_ADDOPTS", "-p no:hypothesispytest -p no:anyio")  # slow to load, and not used
    (pytester.path / "agents").mkdir()
    package = (ROOT / "agents" / "__init__.py").read_text()
    (pytester.path / "agents" / "__init__.py").write_text(package + REGISTER)
    shutil.copy(fake_agent.__file__, pytester.path / "agents" / "fake.py")
    (pytester.path / "suites").mkdir()
    (pytester.path / "suites" / "pole.yaml").write_text(SUITE)
    pytester.makeini("[pytest]\n")
    return pytester


def output(result):
    return result.stdout.str() + result.stderr.str()


def not_judged(result):
    """How many items are, where all others are none of a suite."""
    result.assert_outcomes()
    assert result.ret == 1
    return int(re.search(r"(\d+) not judged", result.stdout.lines[-1])[1])


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


def test_damaged_runs_are_named_below_the_table(project):
    write_run(project.path / "outputs" / "run")
    damaged = write_run(project.path / "outputs" / "damaged").path
    (damaged / "config.yaml").write_text("a: &a [*a]")
    for _ in range(2):  # the second verdict is a cached one
        result = project.runpytest_inprocess("suites/")
        result.assert_outcomes(passed=2, failed=1)
        assert len(re.findall(r"passed over: outputs/damaged/config\.yaml:1: .*contains itself", output(result))) == 1


def test_one_item_a_criterion_with_sentences_and_a_table(project):
    run = write_run(project.path / "outputs" / "run")
    result = project.runpytest_inprocess("suites/", "-ra")
    result.assert_outcomes(passed=2, failed=1)
    assert result.ret == 1
    assert "1 failed, 2 passed, 1 not checked" in result.stdout.lines[-1]
    assert output(result).count("has no seen.npz") == 1
    name = run.path.relative_to(project.path)
    result.stdout.fnmatch_lines(
        [
            "*suites/pole.yaml::short*",
            f"mean_length 500 over 5 episodes misses at_most 100 by 400 (run {name})",
            "*acceptance criteria*",
            "suites/pole.yaml: 2 of 4 criteria pass; 1 fails, 1 is not checked",
            "criterion*metric*estimate*bar*played*decision*",
            "solved*mean_return*500*475*5 episodes*PASS*",
            "short*mean_length*500*100*5 episodes*FAIL*",
            "quick*training.wall_s*2.5*60*1 run*PASS*",
        ]
    )
    assert "Traceback" not in output(result)


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


def test_too_few_runs_is_an_error_of_the_criteria_that_need_them(project):
    (project.path / "suites" / "pole.yaml").write_text(SPREAD)
    write_run(project.path / "outputs" / "run")
    result = project.runpytest_inprocess("suites/")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*needs 2 finished runs, but there are only 1: train with*-m seed=1,2`"])


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


def test_a_failure_names_its_worst_episodes_and_the_command_that_plays_one(project):
    write_run(project.path / "outputs" / "bad", rule=FALL)
    result = project.runpytest_inprocess("suites/")
    (line,) = [line for line in result.outlines if line.startswith("worst episodes by seed: ")]
    seed = re.match(r"worst episodes by seed: (\d+) \(", line)[1]
    assert line.endswith(f"`rl-eval replay outputs/bad --seed {seed} --suite suites/pole.yaml`")


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


def test_junit_carries_the_numbers(project):
    write_run(project.path / "outputs" / "run")
    project.runpytest_inprocess("suites/", "--junitxml=report.xml")
    cases = ET.parse(project.path / "report.xml").findall(".//testcase")
    properties = {
        case.get("name"): {p.get("name"): p.get("value") for p in case.findall(".//property")} for case in cases
    }
    short = properties["short"]
    assert (short["estimate"], short["threshold"], short["units"]) == ("500.0", "100.0", "5")
    assert (short["decision"], short["metric"], short["run"]) == ("FAIL", "mean_length", "outputs/run")
    assert properties["solved"]["decision"] == "PASS"


EVIDENCE = """\
rl_eval: 1
env: cartpole
train: {agent: ppo}
episodes: {max: 200, return_bounds: [0, 500]}
controls: [random]
leaks: report
criteria:
  solved: {metric: mean_return, at_least: 400}
  close: {metric: mean_return, at_most: 499}
"""


def test_a_decision_with_its_evidence(project):
    (project.path / "suites" / "pole.yaml").write_text(EVIDENCE)
    write_run(project.path / "outputs" / "run")
    result = project.runpytest_inprocess("suites/", "--junitxml=report.xml")
    result.assert_outcomes(passed=2, failed=1)  # INCONCLUSIVE is no pass
    result.stdout.fnmatch_lines(
        [
            "mean_return 500 in [[]4*, 500] ≤ 499: undecided after 200 of 200 episodes, about * more would likely *",
            "  judged*outputs/run (ppo, seed 1, 100 steps)",
            "  test set*200 episodes of cartpole, seeded by gate_seed*",
            "  assumed*episodes are independent draws*no episode returns less than 0 or more than 500; alpha 0.05*",
            "criterion*metric*estimate*interval*bar*played*decision*",
            "solved*mean_return*500*4??..500*≥ 400*200 episodes*PASS after *",
            "close*mean_return*500*..500*≤ 499*200 episodes*INCONCLUSIVE*",
            "PASS controls: useless policies miss solved: random",
            "NOT CHECKED held_out: outputs/run has no seen.npz*",
        ]
    )
    cases = ET.parse(project.path / "report.xml").findall(".//testcase")
    solved = next({p.get("name"): p.get("value") for p in c.findall(".//property")} for c in cases)
    assert 490 < float(solved["interval_low"]) < float(solved["interval_high"]) <= 500
    assert (solved["units_max"], solved["decision"], solved["unit"]) == ("200", "PASS", "episode")
    (skipped,) = (case for case in cases if case.find("skipped") is not None)
    assert skipped.get("name") == "held_out"
    assert skipped.find("skipped").get("message").startswith("not checked: outputs/run has no seen.npz")
    assert {p.get("name"): p.get("value") for p in skipped.findall(".//property")}["decision"] == "NOT_CHECKED"


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


def test_train_missing_trains_what_the_suite_needs_and_no_more(project):
    (project.path / "suites" / "pole.yaml").write_text(SPREAD)
    (project.path / "train.py").write_text(TRAIN)
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
    (project.path / "train.py").write_text(TRAIN)
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


def test_train_missing_without_train_py(project):
    result = project.runpytest_inprocess("suites/", "--rl-train-missing")
    assert not_judged(result) == 4
    result.stdout.fnmatch_lines(
        ["NOT JUDGED suites/pole.yaml: --rl-train-missing runs *train.py, which does not exist*"]
    )


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


def test_header_and_summary_name_what_is_judged(project):
    write_run(project.path / "outputs" / "run", agent="a2c", seed=3)
    result = project.runpytest_inprocess("suites/", "--rl-run", "outputs/run", "--junitxml=report.xml")
    facts = "*outputs/run (a2c, seed 3, 100 steps; agent is 'a2c', not 'ppo')*"
    result.stdout.fnmatch_lines([f"suites/pole.yaml judges {facts}", "*acceptance criteria*", f"  judged {facts}"])
    properties = ET.parse(project.path / "report.xml").findall(".//property")
    assert any(p.get("name") == "judged" and "outputs/run" in p.get("value") for p in properties)
    collected = project.runpytest_inprocess("suites/", "--collect-only", "-q")
    assert "judges" not in output(collected)


def test_runs_are_looked_for_where_train_py_puts_them(project, monkeypatch):
    write_run(project.path / "outputs" / "of_the_root", rule=FALL)
    write_run(project.path / "work" / "outputs" / "of_the_working_directory")
    monkeypatch.chdir(project.path / "work")
    result = project.runpytest_inprocess("../suites/pole.yaml::solved", "--rootdir", "..")
    result.assert_outcomes(passed=1)
    assert (project.path / "work" / "outputs" / "ledger.jsonl").exists()
    assert not (project.path / "outputs" / "ledger.jsonl").exists()
