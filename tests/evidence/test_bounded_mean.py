"""The two-sided test of a mean: worked by hand, symmetric, and its input checks."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rl_eval.errors import InputError
from rl_eval.evidence import MeanTest
from rl_eval.evidence.result import units_needed
from tests.evidence.decisions import decide_mean, intervals
from tests.evidence.simulated_gates import decide_means

UNITS = st.lists(st.floats(0, 1), min_size=1, max_size=60).map(np.array)
MIRROR = {"PASS": "FAIL", "FAIL": "PASS", "INCONCLUSIVE": "INCONCLUSIVE"}


@given(UNITS, st.floats(0.05, 0.95), st.floats(-50, 50), st.floats(1, 100))
@settings(deadline=None)
def test_the_two_sides_are_mirror_images(xs, share, low, width):
    low, high = round(low), round(low) + max(1, round(width))
    xs = low + np.round(xs, 2) * (high - low)
    theta = low + round(share, 2) * (high - low)
    original, mirrored = decide_mean(xs, theta, low, high), decide_mean(low + high - xs, low + high - theta, low, high)
    assert mirrored.decision == MIRROR[original.decision]
    assert mirrored.stopped_at == original.stopped_at
    assert mirrored.interval == pytest.approx(
        tuple(low + high - end for end in reversed(original.interval)), abs=2e-3 * (high - low)
    )


@given(UNITS, st.floats(0.05, 0.95))
@settings(deadline=None)
def test_at_most_is_at_least_with_the_verdicts_exchanged(xs, theta):
    at_least, at_most = decide_mean(xs, theta), decide_mean(xs, theta, direction="at_most")
    assert at_most.decision == MIRROR[at_least.decision]
    assert (at_most.stopped_at, at_most.interval) == (at_least.stopped_at, at_least.interval)


@given(UNITS, st.lists(st.floats(0, 1), max_size=20).map(np.array), st.sampled_from([0.2, 0.5, 0.8]))
@settings(deadline=None)
def test_a_decision_latches(xs, later, theta):
    test = MeanTest(theta)
    first = test.extend(xs)
    if first.decision != "INCONCLUSIVE" and len(later):
        assert test.extend(later) is first
        assert test.units == first.stopped_at
    assert first.estimate == pytest.approx(xs[: first.stopped_at].mean())


@given(UNITS, st.sampled_from([0.2, 0.5, 0.8]))
@settings(deadline=None)
def test_one_by_one_is_all_at_once(xs, theta):
    one_by_one = MeanTest(theta)
    for unit in range(len(xs)):
        one_by_one.extend(xs[unit : unit + 1])
    at_once = decide_mean(xs, theta)
    assert (one_by_one.result.decision, one_by_one.units) == (at_once.decision, at_once.stopped_at)
    assert one_by_one.result.interval == pytest.approx(at_once.interval)


@given(UNITS)
@settings(deadline=None)
def test_intervals_are_nested_and_hold_the_bounds_at_first(xs):
    ends = intervals(xs)
    assert (np.diff(ends[:, 0]) >= 0).all()
    assert (np.diff(ends[:, 1]) <= 0).all()


@given(UNITS, st.sampled_from([0.2, 0.5, 0.8]))
@settings(deadline=None)
def test_the_interval_lies_on_the_side_that_was_decided(xs, theta):
    decision = decide_mean(xs, theta)
    if decision.decision == "PASS":
        assert decision.interval[0] >= theta
    elif decision.decision == "FAIL":
        assert decision.interval[1] <= theta
    else:
        assert decision.interval[0] <= theta <= decision.interval[1]


@given(UNITS, st.sampled_from([0.2, 0.5, 0.8]))
@settings(deadline=None)
def test_the_check_of_the_other_candidates_never_decides_earlier(xs, theta):
    one, many = decide_mean(xs, theta), decide_means(xs[None], theta)
    assert one.stopped_at >= many.stopped_at[0]


def test_more_units_is_about_right():
    rng = np.random.default_rng(0)
    xs = (rng.random(4_000) < 0.75).astype(float)
    guesses, missing = [], []
    for start in range(0, 3_000, 300):
        early = decide_mean(xs[start : start + 40], 0.6)
        if early.decision == "INCONCLUSIVE" and early.estimate > 0.65:
            guesses.append(early.more)
            missing.append(decide_mean(xs[start:], 0.6).stopped_at - 40)
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
    result = decide_mean(np.array(values), 0.5, direction=direction)
    assert result.forbids == forbidden
    assert bound in result.message


def test_a_return_past_the_unsafe_bound_forbids_pass_and_leaves_fail():
    good = np.full(200, 0.9)
    good[3] = -0.5
    forbidden = decide_mean(good, 0.5)
    assert forbidden.decision == "INCONCLUSIVE"
    assert forbidden.forbids == {"PASS"}
    assert "unit 4 has -0.5, past the lower bound 0" in forbidden.message
    assert forbidden.interval[0] == -np.inf
    bad = np.full(200, 0.1)
    bad[3] = -0.5
    assert decide_mean(bad, 0.5).decision == "FAIL"


def test_a_value_past_a_bound_after_the_decision_changes_nothing():
    xs = np.full(200, 0.9)
    stopped_at = decide_mean(xs, 0.5).stopped_at
    xs[stopped_at] = -5.0
    assert decide_mean(xs, 0.5).decision == "PASS"
    assert not decide_mean(xs, 0.5).forbids
    xs[stopped_at - 1] = -5.0
    assert decide_mean(xs, 0.5).decision == "INCONCLUSIVE"


def test_certain_thresholds():
    assert decide_mean(np.ones(500), 1.0).decision == "INCONCLUSIVE"  # no number of successes shows that all succeed
    assert decide_mean(np.r_[np.ones(20), np.zeros(5)], 1.0).decision == "FAIL"
    assert decide_mean(np.zeros(500), 0.0, direction="at_most").decision == "INCONCLUSIVE"
    assert decide_mean(np.r_[np.zeros(20), np.ones(5)], 0.0, direction="at_most").decision == "FAIL"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: decide_mean(np.array([]), 0.5), "nothing can be decided"),
        (lambda: decide_mean(np.array([0.1, np.nan, 0.3]), 0.5), "number 2 \\(nan\\)"),
        (lambda: decide_mean(np.array([0.1, np.inf]), 0.5), "not finite"),
        (lambda: decide_mean(np.zeros((2, 2)), 0.5), "one a unit"),
        (lambda: decide_mean(np.zeros(3), 1.5), "outside the bounds \\[0, 1\\]"),
        (lambda: decide_mean(np.zeros(3), 0.5, 1.0, 0.0), "not a range"),
        (lambda: decide_mean(np.zeros(3), 0.5, alpha=0.0), "alpha=0"),
        (lambda: decide_mean(np.zeros(3), 0.5, direction="above"), "'above' is not a direction"),
        (lambda: decide_mean(np.zeros(3), 0.5, population=2), "out of a set of 2"),
    ],
)
def test_what_cannot_be_judged_is_an_error_and_never_a_number(call, message):
    with pytest.raises(InputError, match=message):
        call()


def test_start_up_does_not_import_scipy():
    code = "import sys, rl_eval.evidence; sys.exit('scipy' in sys.modules or 'torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
