"""The review bound by simulation, and overrides."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from rl_eval.errors import InputError
from rl_eval.production.review import Override, ReviewBound, calibrate, decided


def error_above(threshold):
    """P(wrong | confidence > t) where confidence c is uniform on [.5, 1] and wrong has the probability (1 − c)."""
    t = min(max(threshold, 0.5), 1.0)
    return (1 - t) / 2


def draw(rng, count):
    confidences = rng.uniform(0.5, 1.0, count)
    return confidences, rng.random(count) < 1 - confidences


@pytest.mark.verify
@pytest.mark.parametrize("draws", [60, pytest.param(2_000, marks=pytest.mark.verify)])
@pytest.mark.parametrize(("error", "delta", "count"), [(0.2, 0.1, 1_000), (0.1, 0.05, 4_000), (0.24, 0.1, 1_000)])
def test_the_bound_is_broken_as_seldom_as_stated(draws, error, delta, count, record_property):
    """The true error of what is decided alone is known here; it is above the bound with probability at most δ."""
    broken, coverage = 0, []
    for i in range(draws):
        bound = calibrate(*draw(np.random.default_rng([5, i]), count), error=error, delta=delta)
        broken += error_above(bound.threshold) > error
        coverage.append(bound.coverage)
    record_property(f"review, error {error:g}: share of draws that break the bound", broken / draws)
    record_property(f"review, error {error:g}: mean coverage", float(np.mean(coverage)))
    assert stats.binomtest(broken, draws, delta, alternative="greater").pvalue > 1e-3
    # The most that could be decided alone: an error of `error` is reached at t = 1 − 2 error.
    assert np.mean(coverage) > 0.65 * (min(2 * error, 0.5) / 0.5)


def test_seldom_wrong_enough_is_decided_alone_at_the_coverage_asked_for():
    rng = np.random.default_rng(3)
    confidences = rng.uniform(0.5, 1.0, 3_000)
    wrong = rng.random(3_000) < np.where(confidences < 0.55, 0.4, 0.02)  # 10 % are hard
    bound = calibrate(confidences, wrong, error=0.05)
    assert bound.coverage >= 0.8
    assert bound.wrong / bound.alone <= 0.05


def test_what_nobody_can_be_sure_of_is_all_reviewed():
    bound = calibrate(np.linspace(0.5, 1, 40), np.zeros(40, bool), error=0.05)  # 72 would be needed
    assert bound.threshold == math.inf
    assert bound.needs_review(1.0)
    always = calibrate(np.linspace(0.5, 1, 400), np.zeros(400, bool), error=0.05)
    assert always.coverage == 1.0
    assert not always.needs_review(0.0)
    assert always.needs_review(None)


def test_without_a_bound_nothing_is_said_to_be_measured():
    bound = calibrate(np.linspace(0.5, 1, 40), np.ones(40, bool))
    values = bound.to_json()
    assert (values["threshold"], values["alone"], values["wrong"], values["decisions"]) == (None, None, None, 40)
    assert ReviewBound.from_json(values) == bound


def test_equal_confidences_are_decided_alike():
    wrong = np.arange(1_000) % 4 == 0
    assert calibrate(np.full(1_000, 0.9), wrong, error=0.1).threshold == math.inf
    assert calibrate(np.full(1_000, 0.9), wrong, error=0.3).coverage == 1.0


@given(st.integers(0, 2**32 - 1), st.integers(1, 300), st.floats(0.01, 0.5))
def test_the_observed_error_is_below_the_bound_and_json_keeps_it(seed, count, error):
    bound = calibrate(*draw(np.random.default_rng(seed), count), error=error)
    assert bound.alone == 0 or bound.wrong / bound.alone <= error
    assert ReviewBound.from_json(json.loads(json.dumps(bound.to_json()))) == bound


@pytest.mark.parametrize("change", [{"threshold": "x"}, {"alone": 9999}, {"error": 2.0}, {"wrong": 0.5}, {"more": 1}])
def test_a_damaged_bound_is_refused(change):
    bound = calibrate(np.linspace(0.5, 1, 400), np.zeros(400, bool))
    with pytest.raises(InputError, match="damaged"):
        ReviewBound.from_json({**bound.to_json(), **change})


@pytest.mark.parametrize(
    ("confidences", "wrong", "more", "message"),
    [
        ([0.5], [True, False], {}, "one of each"),
        ([], [], {}, "one of each"),
        ([float("nan")], [True], {}, "not finite"),
        ([0.5], [True], {"error": 0.0}, "must be shares"),
    ],
)
def test_what_makes_no_sense_is_refused(confidences, wrong, more, message):
    with pytest.raises(InputError, match=message):
        calibrate(np.array(confidences), np.array(wrong), **more)


def test_the_latest_override_wins_however_confident_the_policy_was():
    overrides = [
        Override("d1", 0, 2, "ann", 5.0),
        Override("d1", 0, 1, "bob", 9.0, "a drill"),
        Override("d2", 3, 1, "ann", 6.0),
    ]
    assert decided("d1", 0, overrides) == 1
    assert decided("d2", 3, overrides) == 1
    assert decided("d3", 4, overrides) == 4
    assert overrides[1].to_json()["decided"] == 0
    with pytest.raises(InputError, match="no reviewer"):
        Override("d1", 0, 2, " ", 5.0)
