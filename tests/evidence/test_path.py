"""How a decision came about."""

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from rl_eval.evidence import Betting, RatioTest, confidence_sequence, counts
from rl_eval.evidence.path import POINTS, moments
from rl_eval.evidence.wealth import Wealth

UNHURRIED = settings(deadline=None)  # a busy machine is no failure


@UNHURRIED
@given(count=st.integers(1, 100_000))
def test_moments_are_few_increasing_and_reach_from_the_first_to_the_last(count):
    at = moments(count)
    assert at[0] == 1
    assert at[-1] == count
    assert len(at) <= POINTS
    assert (np.diff(at) > 0).all()


def test_before_the_first_unit_there_is_no_path():
    assert Betting(0.5).path is None


@UNHURRIED
@given(seed=st.integers(0, 10**6), mean=st.sampled_from([0.2, 0.5, 0.8]), many=st.integers(1, 400))
def test_a_path_ends_with_the_decision_and_agrees_with_the_whole_sequence(seed, mean, many):
    xs = (np.random.default_rng(seed).random(many) < mean).astype(float)
    test = Betting(0.5)
    found = test.extend(xs)
    path = test.path
    assert path.units[-1] == found.stopped_at
    assert (round(path.lower[-1], 4), round(path.upper[-1], 4)) == tuple(round(end, 4) for end in found.interval)
    ends = confidence_sequence(xs)
    at = np.array(path.units) - 1
    np.testing.assert_allclose(path.lower, ends[at, 0], rtol=1e-4)
    np.testing.assert_allclose(path.upper, ends[at, 1], rtol=1e-4)
    wealth = Wealth(1)
    up, down = wealth.advance(xs[:, None], np.array([[0.5]]))
    np.testing.assert_allclose(path.for_pass, up[at, 0], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(path.for_fail, down[at, 0], rtol=1e-4, atol=1e-6)


@UNHURRIED
@given(direction=st.sampled_from(["at_least", "at_most"]), mean=st.sampled_from([0.1, 0.9]))
def test_the_side_that_decides_has_turned_one_into_twenty(direction, mean):
    xs = (np.random.default_rng(3).random(400) < mean).astype(float)
    test = Betting(0.5, direction=direction)
    found = test.extend(xs)
    assert found.decision == ("PASS" if (mean > 0.5) == (direction == "at_least") else "FAIL")
    won, lost = (test.path.for_pass, test.path.for_fail)[:: 1 if found.decision == "PASS" else -1]
    assert won[-1] >= math.log(20) - 1e-3
    assert lost[-1] < math.log(20)


def test_a_ratio_has_a_path_on_its_own_scale():
    rng = np.random.default_rng(0)
    label = rng.random(2000) < 0.3
    test = RatioTest("f1", 0.5)
    found = test.extend(counts("f1", label.astype(int), label.astype(int)))
    assert found.decision == "PASS"
    assert test.path.lower[-1] >= 0.5
    assert test.path.upper[-1] == 1.0
    assert len({len(values) for values in vars(test.path).values()}) == 1
