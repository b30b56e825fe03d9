"""The two-sided test on a mean: by hand, by symmetry, and what it refuses."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rl_eval.errors import InputError
from rl_eval.evidence import Betting, clip_to_bounds, confidence_sequence, decide, decide_many, units_needed
from rl_eval.evidence.wealth import Wealth

UNITS = st.lists(st.floats(0, 1), min_size=1, max_size=60).map(np.array)
MIRROR = {"PASS": "FAIL", "FAIL": "PASS", "INCONCLUSIVE": "INCONCLUSIVE"}


def test_wealth_against_a_table_worked_by_hand():
    """x = 1, 1, 0 against m = 0.6: aGRAPA as printed in arXiv 2010.09686, B.3, one line a unit.

    i  μ̂        σ̂²      gap     λ                                    factor
    1  1/2      1/4      −.1     −.1/(.25+.01)       = −.384615      1 + λ(1−.6)  =  .846154
    2  3/4      5/32     .15     .15/(.15625+.0225)  =  .839161      1 + λ·.4     = 1.335664
    3  5/6      25/216   7/30    (7/30)/(25/216+49/900) = 1.370854 > .75/.6 = 1.25, so 1.25:  1 − 1.25·.6 = .25
    """
    wealth = Wealth(1)
    up, down = wealth.advance(np.array([[1.0], [1.0], [0.0]]), np.array([[0.6]]))
    np.testing.assert_allclose(np.exp(down[:, 0]), [0.846154, 0.846154, 0.846154], rtol=1e-6)
    np.testing.assert_allclose(np.exp(up[:, 0]), [1, 1.335664, 1.335664 * 0.25], rtol=1e-6)


@given(UNITS, st.floats(0.05, 0.95), st.integers(1, 59))
@settings(deadline=None)
def test_wealth_does_not_depend_on_how_units_are_handed_over(xs, m, cut):
    whole, parts = Wealth(1), Wealth(1)
    everything = whole.advance(xs[:, None], np.array([[m]]))
    pieces = [parts.advance(piece[:, None], np.array([[m]])) for piece in (xs[:cut], xs[cut:])]
    for side in (0, 1):
        np.testing.assert_allclose(np.concatenate([p[side] for p in pieces]), everything[side], atol=1e-9)


@given(UNITS, st.floats(0.05, 0.95))
@settings(deadline=None)
def test_no_single_unit_takes_more_than_three_quarters(xs, m):
    for log_wealth in Wealth(1).advance(xs[:, None], np.array([[m]])):
        assert np.diff(log_wealth[:, 0], prepend=0.0).min() >= math.log(0.25) - 1e-9


@given(UNITS, st.floats(0.05, 0.95), st.floats(-50, 50), st.floats(1, 100))
@settings(deadline=None)
def test_the_two_sides_are_mirror_images(xs, share, low, width):
    low, high = round(low), round(low) + max(1, round(width))
    xs = low + np.round(xs, 2) * (high - low)
    theta = low + round(share, 2) * (high - low)
    straight, mirrored = decide(xs, theta, low, high), decide(low + high - xs, low + high - theta, low, high)
    assert mirrored.decision == MIRROR[straight.decision]
    assert mirrored.stopped_at == straight.stopped_at
    assert mirrored.interval == pytest.approx(
        tuple(low + high - end for end in reversed(straight.interval)), abs=2e-3 * (high - low)
    )


@given(UNITS, st.floats(0.05, 0.95))
@settings(deadline=None)
def test_at_most_is_at_least_with_the_verdicts_exchanged(xs, theta):
    at_least, at_most = decide(xs, theta), decide(xs, theta, direction="at_most")
    assert at_most.decision == MIRROR[at_least.decision]
    assert (at_most.stopped_at, at_most.interval) == (at_least.stopped_at, at_least.interval)


@given(UNITS, st.lists(st.floats(0, 1), max_size=20).map(np.array), st.sampled_from([0.2, 0.5, 0.8]))
@settings(deadline=None)
def test_a_decision_latches(xs, later, theta):
    test = Betting(theta)
    first = test.extend(xs)
    if first.decision != "INCONCLUSIVE" and len(later):
        assert test.extend(later) is first
        assert test.units == first.stopped_at
    assert first.estimate == pytest.approx(xs[: first.stopped_at].mean())


@given(UNITS, st.sampled_from([0.2, 0.5, 0.8]))
@settings(deadline=None)
def test_one_by_one_is_all_at_once(xs, theta):
    one_by_one = Betting(theta)
    for x in xs:
        one_by_one.update(x)
    whole = decide(xs, theta)
    assert (one_by_one.decision.decision, one_by_one.units) == (whole.decision, whole.stopped_at)
    assert one_by_one.decision.interval == pytest.approx(whole.interval)


@given(UNITS)
@settings(deadline=None)
def test_intervals_are_nested_and_hold_the_bounds_at_first(xs):
    ends = confidence_sequence(xs)
    assert (np.diff(ends[:, 0]) >= 0).all()
    assert (np.diff(ends[:, 1]) <= 0).all()


@given(UNITS, st.sampled_from([0.2, 0.5, 0.8]))
@settings(deadline=None)
def test_the_interval_lies_on_the_side_that_was_decided(xs, theta):
    decision = decide(xs, theta)
    if decision.decision == "PASS":
        assert decision.interval[0] >= theta
    elif decision.decision == "FAIL":
        assert decision.interval[1] <= theta
    else:
        assert decision.interval[0] <= theta <= decision.interval[1]


@given(UNITS, st.sampled_from([0.2, 0.5, 0.8]))
@settings(deadline=None)
def test_the_check_of_the_other_candidates_never_decides_earlier(xs, theta):
    one, many = decide(xs, theta), decide_many(xs[None], theta)
    assert one.stopped_at >= many.stopped_at[0]


def test_more_units_is_about_right():
    rng = np.random.default_rng(0)
    xs = (rng.random(4_000) < 0.75).astype(float)
    guesses, missing = [], []
    for start in range(0, 3_000, 300):
        early = decide(xs[start : start + 40], 0.6)
        if early.decision == "INCONCLUSIVE" and early.estimate > 0.65:
            guesses.append(early.more)
            missing.append(decide(xs[start:], 0.6).stopped_at - 40)
    assert 0.3 < np.median(guesses) / np.median(missing) < 3


def test_units_needed_says_nothing_on_the_threshold():
    assert units_needed(0.5, 0.1, 0.5, 0, 1) is None
    assert units_needed(0.6, 0.1, 0.5, 0, 1) < units_needed(0.55, 0.1, 0.5, 0, 1)


@pytest.mark.parametrize(
    ("values", "direction", "forbidden", "bound"),
    [
        ([0.5, -0.1], "at_least", {"PASS"}, "lower bound 0"),
        ([0.5, 1.1], "at_least", {"FAIL"}, "upper bound 1"),
        ([0.5, -0.1], "at_most", {"FAIL"}, "lower bound 0"),
        ([0.5, 1.1], "at_most", {"PASS"}, "upper bound 1"),
        ([-2.0, 3.0], "at_least", {"PASS", "FAIL"}, "lower bound 0"),
        ([0.0, 1.0], "at_least", set(), ""),
    ],
)
def test_a_value_past_a_bound_forbids_what_it_makes_unsafe(values, direction, forbidden, bound):
    clipped, forbids, message = clip_to_bounds(np.array(values), (0.0, 1.0), direction)
    assert forbids == forbidden
    assert bound in message
    assert clipped.tolist() == np.clip(values, 0, 1).tolist()


def test_a_return_past_the_unsafe_bound_forbids_pass_and_leaves_fail():
    good = np.full(200, 0.9)
    good[3] = -0.5
    held = decide(good, 0.5)
    assert held.decision == "INCONCLUSIVE"
    assert held.forbids == {"PASS"}
    assert "unit 4 has -0.5, past the lower bound 0" in held.message
    assert held.interval[0] == -np.inf
    bad = np.full(200, 0.1)
    bad[3] = -0.5
    assert decide(bad, 0.5).decision == "FAIL"


def test_a_value_past_a_bound_after_the_decision_changes_nothing():
    xs = np.full(200, 0.9)
    stopped_at = decide(xs, 0.5).stopped_at
    xs[stopped_at] = -5.0
    assert decide(xs, 0.5).decision == "PASS"
    assert not decide(xs, 0.5).forbids
    xs[stopped_at - 1] = -5.0
    assert decide(xs, 0.5).decision == "INCONCLUSIVE"


def test_certain_thresholds():
    assert decide(np.ones(500), 1.0).decision == "INCONCLUSIVE"  # no number of successes shows that all succeed
    assert decide(np.r_[np.ones(20), np.zeros(5)], 1.0).decision == "FAIL"
    assert decide(np.zeros(500), 0.0, direction="at_most").decision == "INCONCLUSIVE"
    assert decide(np.r_[np.zeros(20), np.ones(5)], 0.0, direction="at_most").decision == "FAIL"


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: decide(np.array([]), 0.5), "nothing can be decided"),
        (lambda: decide(np.array([0.1, np.nan, 0.3]), 0.5), "number 2 \\(nan\\)"),
        (lambda: decide(np.array([0.1, np.inf]), 0.5), "not finite"),
        (lambda: decide(np.zeros((2, 2)), 0.5), "one a unit"),
        (lambda: decide(np.zeros(3), 1.5), "outside the bounds \\[0, 1\\]"),
        (lambda: decide(np.zeros(3), 0.5, 1.0, 0.0), "not a range"),
        (lambda: decide(np.zeros(3), 0.5, alpha=0.0), "alpha=0"),
        (lambda: decide(np.zeros(3), 0.5, direction="above"), "'above' is not a direction"),
        (lambda: decide(np.zeros(3), 0.5, population=2), "out of a set of 2"),
        (lambda: decide_many(np.zeros((3, 0)), 0.5), "at least one"),
        (lambda: decide_many(np.full((3, 2), np.nan), 0.5), "is not within"),
        (lambda: confidence_sequence(np.array([np.nan])), "not finite"),
    ],
)
def test_what_cannot_be_judged_is_an_error_and_never_a_number(call, said):
    with pytest.raises(InputError, match=said):
        call()


def test_start_up_does_not_import_scipy():
    code = "import sys, rl_eval.evidence; sys.exit('scipy' in sys.modules or 'torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
