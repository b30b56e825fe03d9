"""The two-sided test of a mean: worked by hand, symmetric, and its input checks."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rl_eval.errors import InputError
from rl_eval.evidence import MeanTest
from rl_eval.evidence.result import units_needed
from tests.evidence.decisions import decide_mean

UNITS = st.lists(st.floats(0, 1), min_size=1, max_size=60).map(np.array)
MIRROR = {"PASS": "FAIL", "FAIL": "PASS", "INCONCLUSIVE": "INCONCLUSIVE"}


@given(UNITS, st.floats(0.05, 0.95), st.floats(-50, 50), st.floats(1, 100))
def test_the_two_sides_are_mirror_images(xs, share, low, width):
    low, high = round(low), round(low) + max(1, round(width))
    xs = low + np.round(xs, 2) * (high - low)
    theta = low + round(share, 2) * (high - low)
    original, mirrored = decide_mean(xs, theta, low, high), decide_mean(low + high - xs, low + high - theta, low, high)
    assert mirrored.decision == MIRROR[original.decision]
    assert mirrored.decided_at == original.decided_at
    assert mirrored.interval == pytest.approx(
        tuple(low + high - end for end in reversed(original.interval)), abs=1e-5 * (high - low)
    )


@given(UNITS, st.floats(0.05, 0.95))
def test_at_most_is_at_least_with_the_verdicts_exchanged(xs, theta):
    at_least, at_most = decide_mean(xs, theta), decide_mean(xs, theta, direction="at_most")
    assert at_most.decision == MIRROR[at_least.decision]
    assert (at_most.decided_at, at_most.interval) == (at_least.decided_at, at_least.interval)


@given(UNITS, st.lists(st.floats(0, 1), min_size=1, max_size=20).map(np.array), st.sampled_from([0.2, 0.5, 0.8]))
def test_a_decision_stays_and_the_estimate_is_of_all_that_was_played(xs, later, theta):
    test = MeanTest(theta)
    test.extend(xs)
    first = test.result
    test.extend(later)
    if first.decision != "INCONCLUSIVE":
        assert (test.decision, test.result.decided_at) == (first.decision, first.decided_at)
    assert first.estimate == pytest.approx(xs.mean())
    assert test.result.estimate == pytest.approx(np.concatenate([xs, later]).mean())
    assert test.result.units == len(xs) + len(later)


@given(UNITS, st.sampled_from([0.2, 0.5, 0.8]), st.sampled_from([None, 30, 200]))
def test_one_by_one_is_all_at_once(xs, theta, limit):
    one_by_one = MeanTest(theta, limit=limit)
    for unit in range(len(xs)):
        one_by_one.extend(xs[unit : unit + 1])
    at_once = decide_mean(xs, theta, limit=limit)
    assert (one_by_one.decision, one_by_one.result.decided_at) == (at_once.decision, at_once.decided_at)
    assert one_by_one.result.interval == pytest.approx(at_once.interval)


@given(UNITS, st.sampled_from([0.2, 0.5, 0.8]))
def test_the_interval_contains_the_estimate_and_where_undecided_the_threshold(xs, theta):
    result = decide_mean(xs, theta)
    lower, upper = result.interval
    assert lower - 1e-9 <= result.estimate <= upper + 1e-9
    if result.decision == "INCONCLUSIVE":
        assert lower <= theta <= upper


def test_an_interval_may_hold_the_threshold_again_after_a_decision():
    xs = np.r_[np.ones(60), np.zeros(40)]
    result = decide_mean(xs, 0.6)
    assert result.decision == "PASS"
    assert result.decided_at < 30
    assert result.estimate == 0.6
    assert result.interval[0] < 0.6 < result.interval[1]


def test_units_on_which_the_metric_is_undefined_count_for_nothing_but_the_set():
    xs = np.array([1.0, np.nan, 1.0, 0.0, np.nan])
    result = decide_mean(xs, 0.6, population=5)
    assert (result.decision, result.estimate, result.units) == ("PASS", pytest.approx(2 / 3), 5)
    assert result.interval == (result.estimate, result.estimate)
    undefined = decide_mean(np.full(5, np.nan), 0.6, population=5)
    assert (undefined.decision, undefined.estimate) == ("INCONCLUSIVE", None)
    source = decide_mean(np.repeat([np.nan, 0.9], 200), 0.6)
    assert source.decision == "PASS"
    assert source.decided_at == 200 + decide_mean(np.full(200, 0.9), 0.6).decided_at


def test_more_units_is_about_right():
    rng = np.random.default_rng(0)
    xs = (rng.random(4_000) < 0.75).astype(float)
    guesses, missing = [], []
    for start in range(0, 3_000, 300):
        early = decide_mean(xs[start : start + 40], 0.6)
        if early.decision == "INCONCLUSIVE" and early.estimate > 0.65:
            guesses.append(early.more)
            missing.append(decide_mean(xs[start:], 0.6).decided_at - 40)
    assert 0.2 < np.median(guesses) / np.median(missing) < 3


@pytest.mark.parametrize(("bar", "value"), [(0.475, 0.5), (0.5, 0.45), (0.2, 0.3), (0.9, 0.87)])
def test_where_units_do_not_vary_the_forecast_is_near_what_decides(bar, value):
    values = np.full(2_000, value)
    decided_at = decide_mean(values, bar).decided_at
    forecast = 10 + decide_mean(values[:10], bar).more
    assert 0.6 * decided_at <= forecast <= 1.6 * decided_at


def test_units_needed_says_nothing_on_the_threshold():
    assert units_needed(0.0, 0.01, 50, 0.05) is None
    assert units_needed(0.1, 0.25, 50, 0.05) < units_needed(0.05, 0.25, 50, 0.05)
    assert units_needed(-0.1, 0.25, 50, 0.05) == units_needed(0.1, 0.25, 50, 0.05)
    assert units_needed(0.5, 0.25, 1_000, 0.05) == 500  # enough by this count, and yet undecided


def test_units_needed_grows_as_alpha_shrinks_however_small_it_is():
    needed = [units_needed(0.1, 0.25, 50, alpha) for alpha in (0.05, 1e-9, 1e-20, 1e-300)]
    assert needed == sorted(set(needed))


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


def test_a_value_past_a_bound_after_the_decision_takes_it_back():
    """The bound that the evidence rests on does not hold."""
    xs = np.full(200, 0.9)
    decided_at = decide_mean(xs, 0.5).decided_at
    xs[decided_at + 5] = -5.0
    result = decide_mean(xs, 0.5)
    assert (result.decision, result.decided_at, result.forbids) == ("INCONCLUSIVE", None, {"PASS"})
    xs[decided_at + 5] = 5.0
    assert decide_mean(xs, 0.5).decision == "PASS"


def test_certain_thresholds():
    assert decide_mean(np.ones(500), 1.0).decision == "INCONCLUSIVE"  # no number of successes shows that all succeed
    assert decide_mean(np.r_[np.ones(20), np.zeros(5)], 1.0).decision == "FAIL"
    assert decide_mean(np.zeros(500), 0.0, direction="at_most").decision == "INCONCLUSIVE"
    assert decide_mean(np.r_[np.zeros(20), np.ones(5)], 0.0, direction="at_most").decision == "FAIL"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: decide_mean(np.array([]), 0.5), "nothing can be decided"),
        (lambda: decide_mean(np.array([0.1, np.inf]), 0.5), "not finite"),
        (lambda: decide_mean(np.zeros((2, 2)), 0.5), "one for each unit"),
        (lambda: decide_mean(np.zeros(3), 1.5), "outside the bounds \\[0, 1\\]"),
        (lambda: decide_mean(np.zeros(3), 0.5, 1.0, 0.0), "not a range"),
        (lambda: decide_mean(np.zeros(3), 0.5, alpha=0.0), "alpha=0"),
        (lambda: decide_mean(np.zeros(3), 0.5, direction="above"), "'above' is not a direction"),
        (lambda: decide_mean(np.zeros(3), 0.5, population=2), "from a set of 2"),
    ],
)
def test_what_cannot_be_judged_is_an_error_and_never_a_number(call, message):
    with pytest.raises(InputError, match=message):
        call()


def test_start_up_does_not_import_scipy():
    code = "import sys, rl_eval.evidence; sys.exit('scipy' in sys.modules or 'torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
