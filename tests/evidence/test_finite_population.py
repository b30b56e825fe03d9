"""Finite sets drawn without replacement: exact at the end, and correct bounds before it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rl_eval.evidence import MeanTest
from rl_eval.evidence.finite_population import impossible, remaining_mean, sum_before
from tests.evidence import simulated_policies as policies
from tests.evidence.decisions import decide_mean, decide_ratio

SET = st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0]), min_size=1, max_size=40).map(np.array)


def test_what_is_left_by_hand():
    """Of 4 units with mean ½ the sum is 2; after 1 and 1 the other two must be 0."""
    z = np.array([1.0, 1.0, 0.0]) - 0.5
    before = sum_before(z, 0.0)
    np.testing.assert_allclose(before, [0, 0.5, 1.0])
    np.testing.assert_allclose(0.5 + remaining_mean(before, np.arange(3), 4), [0.5, 1 / 3, 0.0])
    for m, expected in ((0.25, (True, False)), (0.5, (False, False)), (1.0, (False, True))):
        z_sum = np.array([2 - 3 * m])  # two of three units were 1
        assert [bool(side[0]) for side in impossible(m, z_sum, np.array([3]), 4)] == list(expected)


@given(SET, st.randoms(use_true_random=False))
def test_after_every_case_the_interval_is_the_metric_in_any_order(xs, random):
    order = list(range(len(xs)))
    random.shuffle(order)
    mean = float(xs[order].mean())
    # the threshold is the mean and no evidence reaches alpha, so only the last case decides
    decision = decide_mean(xs[order], mean, population=len(xs), alpha=1e-12)
    assert decision.interval == (mean, mean)
    assert decision.decided_at == len(xs)


@given(SET, st.sampled_from([0.25, 0.5, 0.8]), st.sampled_from(["at_least", "at_most", "better_than", "less_than"]))
def test_a_set_seen_to_the_end_is_decided_exactly(xs, theta, direction):
    decision = decide_mean(xs, theta, direction=direction, population=len(xs), alpha=1e-12)  # certainty alone decides
    exact = {
        "at_least": xs.mean() >= theta,
        "at_most": xs.mean() <= theta,
        "better_than": xs.mean() > theta,
        "less_than": xs.mean() < theta,
    }[direction]
    assert decision.decision == ("PASS" if exact else "FAIL")


def test_a_tie_passes_at_least_and_at_most_but_is_not_better():
    xs = np.array([1.0, 1, 1, 1, 0])
    verdicts = {
        d: decide_mean(xs, 0.8, direction=d, population=5).decision for d in ("at_least", "at_most", "better_than")
    }
    assert verdicts == {"at_least": "PASS", "at_most": "PASS", "better_than": "FAIL"}


def test_an_impossible_candidate_is_rejected_at_once():
    """8 successes of the first 8 of 10: a mean of at most .7 would need a negative case."""
    test = MeanTest(0.7, population=10, alpha=1e-9)
    test.extend(np.ones(7))
    assert test.decision == "INCONCLUSIVE"  # .7 is still possible
    test.extend(np.ones(1))
    assert (test.decision, test.result.decided_at) == ("PASS", 8)


def test_a_finite_set_needs_fewer_units_than_a_source():
    xs = policies.finite_sets(np.random.default_rng(0), 50, 400, 340)
    of_set = [decide_mean(x, 0.75, population=400) for x in xs]
    of_source = [decide_mean(x, 0.75, limit=400) for x in xs]
    assert {d.decision for d in of_set} == {"PASS"}
    assert np.mean([d.decided_at for d in of_set]) < np.mean([d.decided_at for d in of_source])


@pytest.mark.parametrize("metric", ["f1", "precision", "recall", "false_positive_rate", "accuracy"])
def test_a_ratio_of_a_whole_set_is_a_point(metric):
    label, flagged = (gates[0] for gates in policies.detections(np.random.default_rng(1), 1, 300, 0.3, 0.8))
    tp, fp = (label & flagged).sum(), (~label & flagged).sum()
    fn, tn = (label & ~flagged).sum(), (~label & ~flagged).sum()
    exact = {
        "f1": 2 * tp / (2 * tp + fp + fn),
        "precision": tp / (tp + fp),
        "recall": tp / (tp + fn),
        "false_positive_rate": fp / (fp + tn),
        "accuracy": (tp + tn) / 300,
    }[metric]
    decision = decide_ratio(metric, label, flagged, float(exact), alpha=1e-9, population=300)
    assert decision.decision == "PASS"
    assert decision.interval == (decision.estimate, decision.estimate)
    assert decision.estimate == exact
    assert decision.decided_at == 300


@given(SET, st.randoms(use_true_random=False), st.integers(1, 39))
def test_the_interval_of_a_set_holds_what_is_possible_and_the_estimate(xs, random, count):
    order = list(range(len(xs)))
    random.shuffle(order)
    count = min(count, len(xs))
    result = decide_mean(xs[order][:count], 0.5, population=len(xs))
    lower, upper = result.interval
    assert lower - 1e-6 <= result.estimate <= upper + 1e-6
    assert lower <= xs.mean() + 1e-6 or lower > xs[order][:count].sum() / len(xs) - 1e-6
