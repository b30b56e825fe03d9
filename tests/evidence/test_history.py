"""The history of a decision: interval and evidence as units are added."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from rl_eval.evidence import MeanTest, RatioTest, count_cases
from rl_eval.evidence.betting import OneSidedBet
from rl_eval.evidence.history import MAX_POINTS, sample_units
from rl_eval.evidence.share_interval import share_interval


@given(count=st.integers(1, 100_000))
def test_sampled_units_are_few_increasing_and_reach_from_the_first_to_the_last(count):
    at = sample_units(count)
    assert at[0] == 1
    assert at[-1] == count
    assert len(at) <= MAX_POINTS
    assert (np.diff(at) > 0).all()


def test_before_the_first_unit_there_is_no_history():
    assert MeanTest(0.5).history is None


@given(seed=st.integers(0, 10**6), mean=st.sampled_from([0.2, 0.5, 0.8]), count=st.integers(1, 400))
def test_a_history_ends_with_the_decision_and_agrees_with_bets_and_intervals(seed, mean, count):
    xs = (np.random.default_rng(seed).random(count) < mean).astype(float)
    test = MeanTest(0.5)
    test.extend(xs)
    history, last = test.history, test.result.decided_at or count
    assert history.units[-1] == last
    ends = [share_interval(xs[:unit], np.ones(unit), 1.0, 0.05, bisections=9) for unit in history.units]
    np.testing.assert_allclose(np.array([history.lower, history.upper]).T, ends, atol=3e-3)
    at = np.array(history.units) - 1
    up, down = (OneSidedBet(0.5, 0.05).advance(sign * (xs[:last] - 0.5), np.full(last, 0.5))[at] for sign in (1, -1))
    np.testing.assert_allclose(history.for_pass, up, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(history.for_fail, down, rtol=1e-4, atol=1e-5)


@given(direction=st.sampled_from(["at_least", "at_most"]), mean=st.sampled_from([0.1, 0.9]))
def test_the_side_that_decides_has_a_capital_of_twenty(direction, mean):
    xs = (np.random.default_rng(3).random(400) < mean).astype(float)
    test = MeanTest(0.5, direction=direction)
    test.extend(xs)
    assert test.decision == ("PASS" if (mean > 0.5) == (direction == "at_least") else "FAIL")
    won, lost = (test.history.for_pass, test.history.for_fail)[:: 1 if test.decision == "PASS" else -1]
    assert won[-1] >= math.log(20) - 1e-3
    assert lost[-1] < math.log(20)


def test_a_ratio_has_a_history_on_its_own_scale():
    rng = np.random.default_rng(0)
    label = rng.random(2000) < 0.3
    test = RatioTest("f1", 0.5)
    test.extend(count_cases("f1", label.astype(int), label.astype(int)))
    assert test.decision == "PASS"
    assert 0.3 < test.history.lower[-1] < 1.0
    assert test.history.upper[-1] == 1.0
    assert len({len(values) for values in vars(test.history).values()}) == 1
