"""Criteria by evidence that compare with a reference: pairs, margins and factors."""

from __future__ import annotations

import pytest

from tests.gates.evidence_suites import SMALL_THREAT, suite, verdicts
from tests.gates.fake_runs import write_run


def test_a_comparison_is_paired_on_the_same_seeds(tmp_path):
    checked = suite(
        tmp_path,
        "metric: mean_return, better_than: random",
        "metric: mean_return, better_than: [random, 'constant:0'], margin: 100",
        "metric: mean_return, better_than: random, margin: 495",
    )
    beats, margin, misses = verdicts(checked, write_run(tmp_path / "run").path)
    assert (beats.decision, beats.direction, beats.reference, beats.threshold) == ("PASS", "better_than", "random", 0)
    assert beats.detail.startswith("mean_return minus that of random ")
    assert (margin.decision, margin.reference) == ("PASS", "random")
    assert (misses.decision, misses.threshold) == ("FAIL", 495)


def test_a_factor_multiplies_the_reference(tmp_path):
    """`constant:1` falls after about 9 steps, the run's rule after 500."""
    checked = suite(
        tmp_path,
        "metric: mean_return, better_than: 'constant:1', factor: 10",
        "metric: mean_return, better_than: 'constant:1', factor: 100",
        "metric: mean_return, better_than: 'constant:1', factor: 10, by: estimate",
        "metric: mean_return, better_than: 'constant:1', factor: 100, by: estimate",
    )
    beats, misses, plain, plain_misses = verdicts(checked, write_run(tmp_path / "run").path)
    assert [v.decision for v in (beats, misses, plain, plain_misses)] == ["PASS", "FAIL", "PASS", "FAIL"]
    assert beats.detail.startswith("mean_return minus 10 times that of constant:1 ")
    assert (beats.factor, beats.reference, beats.threshold) == (10, "constant:1", 0)
    assert plain_misses.threshold == pytest.approx(10 * plain.threshold)
    assert beats.estimate == pytest.approx(plain.estimate - plain.threshold, abs=60)  # of 100 episodes, and of 10
    assert "the threshold is 100 times that" in plain_misses.detail


@pytest.mark.parametrize("by", ["evidence", "estimate"])
def test_a_factor_where_lower_is_better(tmp_path, by):
    checked = suite(
        tmp_path,
        f"metric: mean_cost, better_than: 'baseline:bayes', factor: 1.1, by: {by}",
        f"metric: mean_cost, better_than: 'baseline:bayes', factor: 0.9, by: {by}",
        f"metric: mean_cost, better_than: 'constant:0', factor: 0.5, by: {by}",
        env=SMALL_THREAT,
        head="population: set",
        episodes="",
    )
    lenient, strict, half = verdicts(checked, "baseline:bayes")
    assert [v.decision for v in (lenient, strict, half)] == ["PASS", "FAIL", "PASS"]
    assert {v.direction for v in (lenient, strict, half)} == {"less_than"}
    assert half.unit == "case"
    if by == "evidence":  # the same policy and reference: its own cost, less 1.1 and .9 times it
        assert lenient.estimate == pytest.approx(-strict.estimate)


@pytest.mark.parametrize(("gate_seed", "decision"), [(1, "PASS"), (4, "ERROR")])
def test_a_multiple_of_a_negative_estimate_is_no_bar(tmp_path, gate_seed, decision):
    """The MCC of random is .02 and -.04 on these seeds."""
    criterion, head = "metric: mcc, better_than: random, factor: 2", f"gate_seed: {gate_seed}"
    (verdict,) = verdicts(suite(tmp_path, criterion, env=SMALL_THREAT, head=head, episodes=""), "baseline:bayes")
    assert verdict.decision == decision
    assert ("needs a value that is not negative" in verdict.detail) == (decision == "ERROR")


def test_no_policy_is_better_than_itself(tmp_path):
    checked = suite(tmp_path, "metric: mean_return, better_than: 'constant:1'")
    (verdict,) = verdicts(checked, "constant:1")
    assert (verdict.decision, verdict.estimate, verdict.more) == ("INCONCLUSIVE", 0.0, None)


def test_a_ratio_against_a_reference_is_the_difference_of_both(tmp_path):
    checked = suite(
        tmp_path,
        "metric: f1, better_than: 'constant:*', margin: 0.05",
        "metric: f1, at_least: 0, by: estimate",
        "metric: mean_cost, better_than: 'constant:*'",
        env=SMALL_THREAT,
        episodes="",
    )
    _, block_all, _ = verdicts(checked, "constant:1")
    f1, plain, cost = verdicts(checked, "baseline:bayes")
    assert (f1.decision, f1.reference, f1.direction) == ("PASS", "constant:1", "better_than")
    assert f1.threshold == 0.05
    assert f1.estimate == pytest.approx(plain.estimate - block_all.estimate)
    assert f1.interval[0] <= f1.estimate <= f1.interval[1]
    assert f1.detail.startswith("f1 minus that of constant:1 ")
    assert (cost.decision, cost.direction, cost.unit) == ("PASS", "less_than", "case")
    assert cost.estimate < 0


def test_a_reference_that_cannot_play_is_an_error(tmp_path):
    checked = suite(
        tmp_path,
        "metric: f1, better_than: 'baseline:none'",
        "metric: mean_cost, better_than: 'baseline:none'",
        env=SMALL_THREAT,
        episodes="",
    )
    for verdict in verdicts(checked, "constant:1"):
        assert verdict.decision == "ERROR"
        assert verdict.detail.startswith("the reference baseline:none: baseline:none is not a baseline of threat")
