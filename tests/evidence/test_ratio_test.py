"""Ratio metrics as bounded means."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rl_eval.errors import InputError
from rl_eval.evidence import RATIO_METRICS, Counts, RatioTest, counts, decide, decide_ratio
from rl_eval.evidence.ratio import unit_values
from tests.evidence import worlds

CASES = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=50).map(np.array)


@given(CASES, st.floats(0.05, 0.95))
@settings(deadline=None)
def test_f1_is_at_least_theta_exactly_where_the_mean_of_z_is_not_negative(cases, theta):
    label, flagged = cases.T
    tp, wrong = (label & flagged).sum(), (label ^ flagged).sum()
    if tp + wrong == 0:
        return
    z = 2 * (1 - theta) * (label & flagged) - theta * (label ^ flagged)
    share = theta / (2 - theta)
    x = unit_values(counts("f1", label, flagged), np.array([share]), 1)[:, 0]
    np.testing.assert_allclose(x - share, z / (2 - theta), atol=1e-12)
    if abs(z.mean()) > 1e-12:
        assert (2 * tp / (2 * tp + wrong) >= theta) == (z.mean() >= 0)


@given(CASES, st.sampled_from(RATIO_METRICS), st.floats(0, 1), st.integers(1, 5))
@settings(deadline=None)
def test_units_stay_in_bounds(cases, metric, share, length):
    episode = np.arange(len(cases)) // length
    units = counts(metric, *cases.T, episode)
    x = unit_values(units, np.array([share]), length)
    assert x.min() >= -1e-12
    assert x.max() <= 1 + 1e-12


def test_cases_that_say_nothing_cost_nothing():
    """With the uninformative ones taken out, the same informative cases decide."""
    label, flagged = (each[0] for each in worlds.detections(np.random.default_rng(2), 1, 4_000, 0.109, 0.92))
    told = label | flagged
    all_cases = decide_ratio("f1", label, flagged, 0.8)
    informative = decide_ratio("f1", label[told], flagged[told], 0.8)
    assert all_cases.decision == informative.decision == "PASS"
    used = told[: all_cases.stopped_at].sum()
    assert abs(used - informative.stopped_at) <= 0.25 * informative.stopped_at


def test_accuracy_of_cases_is_the_test_of_their_mean():
    label, flagged = (each[0] for each in worlds.detections(np.random.default_rng(4), 1, 500, 0.5, 0.9))
    ratio, plain = decide_ratio("accuracy", label, flagged, 0.8), decide((label == flagged).astype(float), 0.8)
    assert (ratio.decision, ratio.stopped_at) == (plain.decision, plain.stopped_at)
    assert ratio.interval == pytest.approx(plain.interval)


def test_the_interval_is_of_the_metric_itself():
    label, flagged = (each[0] for each in worlds.detections(np.random.default_rng(6), 1, 3_000, 0.5, 0.9))
    decision = RatioTest("f1", 0.5, alpha=1e-300).extend(counts("f1", label, flagged))
    assert decision.decision == "INCONCLUSIVE"
    narrow = RatioTest("f1", 0.899, alpha=0.05).extend(counts("f1", label, flagged))
    low, high = narrow.interval
    assert low < 0.9 < high
    assert high - low < 0.06


def test_fpr_at_most():
    label, flagged = (each[0] for each in worlds.detections(np.random.default_rng(8), 1, 2_000, 0.5, 0.97))
    assert decide_ratio("false_positive_rate", label, flagged, 0.1, direction="at_most").decision == "PASS"
    assert decide_ratio("false_positive_rate", ~label, flagged, 0.1, direction="at_most").decision == "FAIL"


def test_episodes_pool_their_cases():
    label = np.array([1, 1, 0, 1, 0, 0])
    flagged = np.array([1, 0, 0, 1, 1, 0])
    units = counts("f1", label, flagged, episode=np.array([0, 0, 0, 1, 1, 2]))
    assert [each.tolist() for each in units] == [[1, 1, 0], [2, 2, 0], [2, 1, 0]]
    decision = RatioTest("f1", 0.5, longest=3).extend(units)
    assert decision.estimate == pytest.approx(2 * 2 / (2 * 2 + 1 + 1))


def test_episodes_decide_too():
    rng = np.random.default_rng(10)
    label, flagged = (each[0] for each in worlds.detections(rng, 1, 20_000, 0.5, 0.93))
    decision = decide_ratio("f1", label, flagged, 0.8, episode=np.arange(20_000) // 10, longest=10)
    assert decision.decision == "PASS"
    assert decision.stopped_at < 400


def test_nothing_is_decided_before_a_positive_was_seen():
    """A policy that flags all of 200 negatives would fail, but what of?"""
    test = RatioTest("f1", 0.8)
    false_alarms = counts("f1", np.zeros(200), np.ones(200))
    assert test.extend(false_alarms).decision == "INCONCLUSIVE"
    assert test.decision.estimate is None
    assert test.extend(counts("f1", np.ones(1), np.zeros(1))).decision == "FAIL"


@pytest.mark.parametrize(
    ("metric", "label", "flagged", "said"),
    [
        ("f1", [0, 0], [1, 0], "none of the cases is positive"),
        ("precision", [0, 1], [0, 0], "flagged none"),
        ("recall", [0, 0], [1, 0], "none of the cases is positive"),
        ("false_positive_rate", [1, 1], [1, 0], "all of the cases are positive"),
        ("f1", [], [], "there is no case"),
        ("f1", [0, 2], [1, 0], "neither 0 nor 1"),
        ("f1", [0, np.nan], [1, 0], "neither 0 nor 1"),
        ("f1", [0, 1, 1], [1, 0], "different lengths"),
        ("f2", [0, 1], [1, 0], "did you mean 'f1'"),
    ],
)
@pytest.mark.parametrize("population", [None, "all"])
def test_an_undefined_metric_is_an_error_and_never_a_number(metric, label, flagged, said, population):
    with pytest.raises(InputError, match=said):
        decide_ratio(metric, label, flagged, 0.8, population=max(1, len(label)) if population else None)


def test_impossible_arguments():
    with pytest.raises(InputError, match=r"outside \[0, 1\]"):
        RatioTest("f1", 1.2)
    with pytest.raises(InputError, match="more than longest=1"):
        RatioTest("f1", 0.8).extend(Counts(np.array([2]), np.array([3]), np.array([2])))
