"""`--rl-against`: no worse than a release, which plays or whose values are recorded."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from rl_eval.errors import InputError
from rl_eval.gates import evaluate_suite, named_runs, read_release, with_release
from rl_eval.gates.suite import parse_suite
from rl_eval.gates.verdict_file import read_suite_verdicts, write_verdict_file

SUITE = """\
rl_eval: 1
env: cartpole
episodes: {min: 20, max: 60, return_bounds: [0, 500]}
controls: [constant:0]
criteria:
  balances: {metric: mean_return, at_least: 5, margin: 60}
  falls: {metric: mean_return, at_most: 100, margin: 60}
  middle: {metric: median_return, at_least: 5, by: estimate}
"""
PARENT = "constant:1"  # some 9 steps an episode


def suite_of(text=SUITE):
    return parse_suite(text, Path("pole.yaml"), "pole.yaml")


def judged(suite, spec):
    return evaluate_suite(suite, named_runs(suite, [spec]))


def rows(verdict):
    return {row.criterion: row for row in verdict.criteria}


@pytest.fixture(scope="module")
def release(tmp_path_factory):
    """The verdict file on `random`, as pytest writes it."""
    file = tmp_path_factory.mktemp("release") / "gate.json"
    write_verdict_file(file, [judged(suite_of(), "random")])
    return file


@pytest.fixture(scope="module")
def played(release):
    """Two policies of almost the same returns, one of which plays again."""
    return judged(with_release(suite_of(), read_release("random", release.parent)), PARENT)


def test_a_policy_that_is_about_as_good_is_no_worse_by_the_margin(played):
    row = rows(played)["balances_no_worse"]
    assert (row.decision, row.direction, row.threshold) == ("PASS", "better_than", -60)
    assert -60 < row.interval[0] < row.estimate < 0  # random balances a little longer
    falls = rows(played)["falls_no_worse"]
    assert (falls.decision, falls.direction, falls.threshold) == ("PASS", "less_than", 60)
    assert falls.estimate == row.estimate
    assert [row.criterion for row in played.criteria][:3] == ["balances", "falls", "middle"]


def test_without_a_margin_there_is_a_sentence_and_no_default(played):
    row = rows(played)["middle_no_worse"]
    assert row.decision == "NOT_CHECKED"
    assert row.detail.endswith("names no margin: write how much worse it may be as criteria.middle.margin")
    nothing = suite_of(SUITE.replace(", margin: 60", ""))
    verdict = judged(with_release(nothing, read_release("random", Path())), PARENT)
    assert {row.decision for name, row in rows(verdict).items() if name.endswith("_no_worse")} == {"ERROR"}


def test_recorded_values_decide_as_the_policy_itself_does(release, played):
    """The file holds what `random` had on each seed, so that nobody needs the policy of the release."""
    verdict = judged(with_release(suite_of(), read_release("gate.json", release.parent)), PARENT)
    one, other = rows(verdict)["balances_no_worse"], rows(played)["balances_no_worse"]
    assert (one.decision, one.estimate, one.interval, one.decided_at) == (
        other.decision,
        other.estimate,
        other.interval,
        other.decided_at,
    )
    assert one.reference == "gate.json"


def test_the_values_are_those_of_each_seed(release):
    (suite,) = read_suite_verdicts(release)
    row = rows(suite)["balances"]
    assert len(row.played.seeds) == len(set(row.played.seeds)) == row.units
    assert np.mean(row.played.values) == pytest.approx(row.estimate)


def test_a_policy_that_is_worse_by_more_than_the_margin_fails(tmp_path, release):
    values = json.loads(release.read_text())
    for row in values["suites"][0]["criteria"]:
        if row["played"]:
            row["played"]["values"] = [value + 150 for value in row["played"]["values"]]
    (tmp_path / "good.json").write_text(json.dumps(values))
    verdict = rows(judged(with_release(suite_of(), read_release("good.json", tmp_path)), PARENT))
    assert verdict["balances_no_worse"].decision == "FAIL"
    assert verdict["balances"].decision == "PASS"
    assert verdict["falls_no_worse"].decision == "PASS"  # lower is better there


def test_only_as_many_episodes_count_as_the_release_played(tmp_path, release):
    values = json.loads(release.read_text())
    for row in values["suites"][0]["criteria"]:
        if row["played"]:
            row["played"] = {name: series[:2] for name, series in row["played"].items()}
    (tmp_path / "short.json").write_text(json.dumps(values))
    row = rows(judged(with_release(suite_of(), read_release("short.json", tmp_path)), PARENT))["balances_no_worse"]
    assert (row.decision, row.units, row.units_max) == ("INCONCLUSIVE", 2, 2)
    assert row.detail.endswith("the release has values of 2 episodes: judge it again with a larger episodes.min")


def test_a_release_on_other_episodes_is_refused(release):
    other = suite_of(SUITE.replace("env: cartpole", "env: cartpole\ngate_seed: 7"))
    verdict = rows(judged(with_release(other, read_release("gate.json", release.parent)), PARENT))
    assert verdict["balances_no_worse"].decision == "ERROR"
    assert "was judged on other episodes" in verdict["balances_no_worse"].detail
    assert verdict["balances"].decision == "PASS"


def test_the_margin_moves_no_bar_and_helps_no_control(played):
    assert "its margin of 60 is only for --rl-against" in rows(played)["balances"].detail
    assert rows(played)["controls"].decision == "FAIL"  # constant:0 passes what the suite itself asks


@pytest.mark.parametrize("name", ["missing.json", "nothing", "onnx"])
def test_what_is_no_release_is_one_sentence(tmp_path, name):
    with pytest.raises(InputError, match=name):
        read_release(name, tmp_path)


def test_a_criterion_of_the_name_is_refused():
    taken = suite_of(SUITE + "  balances_no_worse: {metric: mean_return, at_least: 5}\n")
    with pytest.raises(InputError, match="has the name that --rl-against uses"):
        with_release(taken, read_release("random", Path()))
    with pytest.raises(InputError, match=r"criteria\.quick\.margin: is for metrics of the policy's own episodes"):
        suite_of(SUITE + "  quick: {metric: training.wall_s, at_most: 60, margin: 1}\n")
