"""Ratio metrics as bounded means."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rl_eval.errors import InputError
from rl_eval.evidence import RATIO_METRICS, RatioTest, count_cases
from rl_eval.evidence.ratio_metrics import RatioCounts, undefined_reason
from tests.evidence import simulated_policies as policies
from tests.evidence.decisions import decide_mean, decide_ratio

CASES = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=50).map(np.array)


@given(CASES, st.floats(0.05, 0.95))
def test_f1_is_at_least_theta_exactly_where_the_mean_of_z_is_not_negative(cases, theta):
    label, flagged = cases.T
    tp, wrong = (label & flagged).sum(), (label ^ flagged).sum()
    if tp + wrong == 0:
        return
    z = 2 * (1 - theta) * (label & flagged) - theta * (label ^ flagged)
    share = theta / (2 - theta)
    units = count_cases("f1", label, flagged)
    np.testing.assert_allclose(units.hits - share * units.informative, z / (2 - theta), atol=1e-12)
    if abs(z.mean()) > 1e-12:
        assert (2 * tp / (2 * tp + wrong) >= theta) == (z.mean() >= 0)


@given(CASES, st.sampled_from(RATIO_METRICS), st.integers(1, 5))
def test_hits_are_informative_and_units_are_not_too_long(cases, metric, length):
    units = count_cases(metric, *cases.T, np.arange(len(cases)) // length)
    assert (units.hits >= 0).all()
    assert (units.hits <= units.informative).all()
    assert (units.informative <= length).all()


def test_uninformative_cases_cost_nothing():
    """With the uninformative ones taken out, the same informative cases decide."""
    label, flagged = (gates[0] for gates in policies.detections(np.random.default_rng(2), 1, 4_000, 0.109, 0.92))
    informative = label | flagged
    all_cases = decide_ratio("f1", label, flagged, 0.8)
    of_informative = decide_ratio("f1", label[informative], flagged[informative], 0.8)
    assert all_cases.decision == of_informative.decision == "PASS"
    assert informative[: all_cases.decided_at].sum() == of_informative.decided_at


def test_accuracy_of_cases_is_the_test_of_their_mean():
    label, flagged = (gates[0] for gates in policies.detections(np.random.default_rng(4), 1, 500, 0.5, 0.9))
    ratio, plain = decide_ratio("accuracy", label, flagged, 0.8), decide_mean((label == flagged).astype(float), 0.8)
    assert (ratio.decision, ratio.decided_at) == (plain.decision, plain.decided_at)
    assert ratio.interval == pytest.approx(plain.interval)


def test_the_interval_is_of_the_metric_itself():
    label, flagged = (gates[0] for gates in policies.detections(np.random.default_rng(6), 1, 3_000, 0.5, 0.9))
    test = RatioTest("f1", 0.899)
    test.extend(count_cases("f1", label, flagged))
    low, high = test.result.interval
    assert low < 0.9 < high
    assert high - low < 0.06


def test_fpr_at_most():
    label, flagged = (gates[0] for gates in policies.detections(np.random.default_rng(8), 1, 2_000, 0.5, 0.97))
    assert decide_ratio("false_positive_rate", label, flagged, 0.1, direction="at_most").decision == "PASS"
    assert decide_ratio("false_positive_rate", ~label, flagged, 0.1, direction="at_most").decision == "FAIL"


def test_episodes_pool_their_cases():
    label = np.array([1, 1, 0, 1, 0, 0])
    flagged = np.array([1, 0, 0, 1, 1, 0])
    units = count_cases("f1", label, flagged, episode=np.array([0, 0, 0, 1, 1, 2]))
    assert [counts.tolist() for counts in units] == [[1, 1, 0], [2, 2, 0], [2, 1, 0]]
    test = RatioTest("f1", 0.5, longest=3)
    test.extend(units)
    assert test.result.estimate == pytest.approx(2 * 2 / (2 * 2 + 1 + 1))


def test_episodes_decide_too():
    rng = np.random.default_rng(10)
    label, flagged = (gates[0] for gates in policies.detections(rng, 1, 20_000, 0.5, 0.93))
    decision = decide_ratio("f1", label, flagged, 0.8, episode=np.arange(20_000) // 10, longest=10)
    assert decision.decision == "PASS"
    assert decision.decided_at < 400


def test_nothing_is_decided_before_the_first_positive():
    """F1 is undefined on 200 negatives, whatever the policy flags."""
    test = RatioTest("f1", 0.8)
    false_alarms = count_cases("f1", np.zeros(200), np.ones(200))
    test.extend(false_alarms)
    assert test.decision == "INCONCLUSIVE"
    assert test.result.estimate is None
    test.extend(count_cases("f1", np.ones(1), np.zeros(1)))
    assert test.decision == "FAIL"


@pytest.mark.parametrize(
    ("metric", "label", "flagged", "reason"),
    [
        ("f1", [0, 0], [1, 0], "positive"),
        ("precision", [0, 1], [0, 0], "flagged none"),
        ("recall", [0, 0], [1, 0], "positive"),
        ("false_positive_rate", [1, 1], [1, 0], "positive"),
    ],
)
@pytest.mark.parametrize("population", [None, 2])
def test_an_undefined_metric_is_never_decided(metric, label, flagged, reason, population):
    decision = decide_ratio(metric, label, flagged, 0.8, population=population)
    assert (decision.decision, decision.estimate) == ("INCONCLUSIVE", None)
    assert reason in undefined_reason(metric)


@pytest.mark.parametrize(
    ("metric", "label", "flagged", "message"),
    [
        ("f1", [], [], "there is no case"),
        ("f1", [0, 2], [1, 0], "neither 0 nor 1"),
        ("f1", [0, np.nan], [1, 0], "neither 0 nor 1"),
        ("f1", [0, 1, 1], [1, 0], "different lengths"),
        ("f2", [0, 1], [1, 0], "did you mean 'f1'"),
    ],
)
def test_broken_cases_are_errors(metric, label, flagged, message):
    with pytest.raises(InputError, match=message):
        count_cases(metric, label, flagged)


def test_impossible_arguments():
    with pytest.raises(InputError, match=r"outside \[0, 1\]"):
        RatioTest("f1", 1.2)
    with pytest.raises(InputError, match="more than longest=1"):
        RatioTest("f1", 0.8).extend(RatioCounts(np.array([2]), np.array([3]), np.array([2])))
