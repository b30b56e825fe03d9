"""What a session prints about its verdicts, and writes to a JUnit report."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

from tests.gates.fake_runs import FALL
from tests.pytest_plugin.pole_project import output, write_run

pytest_plugins = "pytester"


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


def test_a_failure_names_its_worst_episodes_and_the_command_that_plays_one(project):
    write_run(project.path / "outputs" / "bad", rule=FALL)
    result = project.runpytest_inprocess("suites/")
    (line,) = [line for line in result.outlines if line.startswith("worst episodes by seed: ")]
    seed = re.match(r"worst episodes by seed: (\d+) \(", line)[1]
    assert line.endswith(f"`rl-eval replay outputs/bad --seed {seed} --suite suites/pole.yaml`")


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


def test_header_and_summary_name_what_is_judged(project):
    write_run(project.path / "outputs" / "run", agent="a2c", seed=3)
    result = project.runpytest_inprocess("suites/", "--rl-run", "outputs/run", "--junitxml=report.xml")
    facts = "*outputs/run (a2c, seed 3, 100 steps; agent is 'a2c', not 'ppo')*"
    result.stdout.fnmatch_lines([f"suites/pole.yaml judges {facts}", "*acceptance criteria*", f"  judged {facts}"])
    properties = ET.parse(project.path / "report.xml").findall(".//property")
    assert any(p.get("name") == "judged" and "outputs/run" in p.get("value") for p in properties)
    collected = project.runpytest_inprocess("suites/", "--collect-only", "-q")
    assert "judges" not in output(collected)
