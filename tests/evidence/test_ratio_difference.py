"""A ratio metric against a reference's: both values are unknown, and no θ between them is forgotten."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from rl_eval.errors import InputError
from rl_eval.evidence import RATIO_METRICS, MeanTest, count_cases, ratio_difference_test
from rl_eval.evidence.ratio_difference import JointBet
from tests.evidence import simulated_policies as policies
from tests.evidence.decisions import decide_difference

SURE = 1e-3
CASES = st.lists(st.tuples(st.booleans(), st.booleans(), st.booleans()), min_size=1, max_size=40).map(np.array)


@pytest.mark.parametrize("margin", [0.0, 0.1, -0.2])
@pytest.mark.parametrize(("first", "chance"), [(0.3, 0.5), (0.8, 0.9)])
def test_at_the_true_theta_the_expected_capital_is_at_most_one_by_enumeration(margin, first, chance):
    """Precision of independent flags: ρ₁ = θ and ρ₂ = θ − margin, over all sequences of 4 cases."""
    second = first - margin
    outcomes, chances = [], []
    for (a1, b1, p1), (a2, b2, p2) in itertools.product(
        *([(1, 1, rate * chance), (0, 1, (1 - rate) * chance), (0, 0, 1 - chance)] for rate in (first, second))
    ):
        outcomes.append(((a1, b1), (a2, b2)))
        chances.append(p1 * p2)
    bet = JointBet.start(margin)
    cell = int(np.flatnonzero((bet.low <= first) & (first <= bet.high))[0])
    total = 0.0
    for sequence in itertools.product(range(len(outcomes)), repeat=4):
        if (weight := math.prod(chances[i] for i in sequence)) == 0:
            continue
        terms = np.array([outcomes[i] for i in sequence], float)
        bet = JointBet.start(margin)
        logs = bet._growth(terms[:, 0], terms[:, 1], np.arange(4), None).sum(axis=1).min(axis=0)[cell]
        total += weight * np.exp(logs).mean()
    assert total <= 1 + 1e-9


@given(CASES, st.sampled_from(["precision", "f1"]), st.floats(-0.5, 0.5))
def test_a_cell_is_bounded_by_its_ends(cases, metric, margin):
    """At any θ inside a cell, each pair of bets has at least the smaller capital of the two ends."""
    test = ratio_difference_test(metric, margin)
    test.extend(count_cases(metric, *cases[:, :2].T), count_cases(metric, *cases[:, [0, 2]].T))
    first, second = test._terms(len(cases))
    bet = JointBet.start(margin)
    ends = bet._growth(first, second, np.arange(len(cases)), None).sum(axis=1)
    for share in (0.25, 0.5, 0.9):
        inside = bet.low + share * (bet.high - bet.low)
        z1, z2 = bet._z(first, second, inside)
        worst = bet.high[:, None] + bet.ratios * (1 - (bet.low - margin))[:, None]
        stakes = np.geomspace(0.03, 0.9, 8)
        bets = (stakes[:, None] / worst[:, None, :]).reshape(len(inside), -1)
        logs = np.log1p(bets * z1[..., None] + bets * np.tile(bet.ratios, 8) * z2[..., None]).sum(axis=0)
        assert (logs >= ends.min(axis=0) - 1e-9).all()


@given(CASES, st.sampled_from(["precision", "f1"]), st.sampled_from([None, 40]))
@settings(deadline=None, max_examples=40)
def test_the_capital_unit_by_unit_is_that_of_the_smaller_ends(cases, metric, population):
    """With an alpha that nothing reaches, so that every cell stays."""
    test = ratio_difference_test(metric, 0.1)
    test.extend(count_cases(metric, *cases[:, :2].T), count_cases(metric, *cases[:, [0, 2]].T))
    first, second = test._terms(len(cases))
    units = np.arange(len(cases))
    growth = JointBet.start(0.1)._growth(first, second, units, population)
    smaller_ends = np.cumsum(growth, axis=1).min(axis=0)
    expected = np.log(np.exp(smaller_ends).mean(axis=-1)).min(axis=-1)
    reached = JointBet.start(0.1).advance(first, second, units, population, 1e-200)
    np.testing.assert_allclose(reached, expected, atol=1e-9)
    assert JointBet.start(0.1).final(first, second, population) == pytest.approx(expected[-1], abs=1e-9)


@given(CASES, st.sampled_from(RATIO_METRICS), st.sampled_from([None, 40]))
@settings(max_examples=40)
def test_a_policy_is_never_better_than_itself(cases, metric, population):
    result = decide_difference(metric, cases[:, 0], cases[:, 1], cases[:, 1], population=population)
    assert result.decision != "PASS"
    assert result.estimate in (None, 0.0)


@pytest.mark.parametrize("metric", RATIO_METRICS)
def test_a_whole_set_decides_exactly(metric):
    rng = np.random.default_rng(3)
    label, reference = (gates[0] for gates in policies.detections(rng, 1, 300, 0.4, 0.8))
    flagged = np.where(rng.random(300) < 0.7, label, reference)
    test = ratio_difference_test(metric, 0.0, alpha=1e-9, direction="better_than", population=300)
    test.extend(count_cases(metric, label, flagged), count_cases(metric, label, reference))
    values = []
    for flags in (flagged, reference):
        tp, fp, fn = (label & flags).sum(), (~label & flags).sum(), (label & ~flags).sum()
        tn = 300 - tp - fp - fn
        values.append(
            {
                "f1": 2 * tp / (2 * tp + fp + fn), "precision": tp / (tp + fp), "recall": tp / (tp + fn),
                "false_positive_rate": fp / (fp + tn), "accuracy": (tp + tn) / 300,
            }[metric]
        )  # fmt: skip
    assert test.result.estimate == pytest.approx(values[0] - values[1])
    assert test.decision == ("PASS" if values[0] > values[1] else "FAIL")
    assert test.result.interval == (test.result.estimate, test.result.estimate)


def test_the_interval_is_of_the_difference_and_both_sides_mirror():
    rng = np.random.default_rng(5)
    label, flagged = (gates[0] for gates in policies.detections(rng, 1, 1_500, 0.5, 0.9))
    _, reference = (gates[0] for gates in policies.detections(rng, 1, 1_500, 0.5, 0.9))
    reference = np.where(rng.random(1_500) < 0.5, label, reference)
    for metric in ("precision", "f1", "recall"):
        ours = decide_difference(metric, label, flagged, reference)
        theirs = decide_difference(metric, label, reference, flagged)
        assert ours.interval[0] <= ours.estimate <= ours.interval[1]
        assert ours.estimate == pytest.approx(-theirs.estimate)
        np.testing.assert_allclose(ours.interval, [-end for end in reversed(theirs.interval)], atol=2e-3)
        assert ours.interval[1] - ours.interval[0] < 0.2


def test_nothing_is_decided_before_both_are_defined():
    n = 200
    label = np.ones(n, bool)
    result = decide_difference("precision", label, label, np.zeros(n, bool))
    assert (result.decision, result.estimate) == ("INCONCLUSIVE", None)


def test_accuracy_is_the_test_of_paired_successes():
    rng = np.random.default_rng(7)
    label = rng.random(300) < 0.5
    ours, theirs = (np.where(rng.random(300) < rate, label, ~label) for rate in (0.9, 0.7))
    ratio = decide_difference("accuracy", label, ours, theirs, limit=300)
    paired = MeanTest(0.0, -1.0, 1.0, direction="better_than", limit=300)
    paired.extend((ours == label).astype(float) - (theirs == label))
    assert (ratio.decision, ratio.decided_at) == (paired.decision, paired.result.decided_at)
    assert ratio.interval == pytest.approx(paired.result.interval)


def test_different_cases_are_an_error():
    test = ratio_difference_test("recall", 0.0)
    with pytest.raises(InputError, match="different cases"):
        test.extend(count_cases("recall", [1, 0], [1, 1]), count_cases("recall", [1, 1], [1, 1]))
    with pytest.raises(InputError, match="margin"):
        ratio_difference_test("f1", 1.5)


# --- simulated gates -------------------------------------------------------------------------------


def opposite_habits(metric, rng, units):
    """Two policies that are equally good by the metric and flag different cases, blindly or nearly so."""
    label = rng.random(units) < 0.3
    if metric == "precision":  # one flags often and one seldom; both are blind
        return label, rng.random(units) < 0.7, rng.random(units) < 0.2
    if metric == "f1":  # recall .8 with many false alarms, and recall .5 with few: the same F1
        ours = np.where(label, rng.random(units) < 0.8, rng.random(units) < 0.3 * 0.8 / 0.7)
        f1 = 2 * 0.3 * 0.8 / (2 * 0.3 * 0.8 + 0.3 * 0.2 + 0.3 * 0.8)
        theirs_alarms = (2 * 0.3 * 0.5 / f1 - 2 * 0.3 * 0.5 - 0.3 * 0.5) / 0.7
        return label, ours, np.where(label, rng.random(units) < 0.5, rng.random(units) < max(theirs_alarms, 0.0))
    if metric == "recall":
        return label, np.where(label, rng.random(units) < 0.6, True), np.where(label, rng.random(units) < 0.6, False)
    # accuracy .58 by flagging nothing of the threats or much of all
    ours = rng.random(units) < 0.4
    theirs = np.where(label, rng.random(units) < 0.4, rng.random(units) < 0.4)
    return label, ours, theirs


@pytest.mark.parametrize("metric", ["precision", "f1", "recall", "accuracy"])
@pytest.mark.parametrize("gates", [40, pytest.param(3_000, marks=pytest.mark.verify)])
@pytest.mark.parametrize("population", [None, 400])
def test_equal_policies_pass_with_probability_alpha_at_most(metric, gates, population, record_figure):
    rng, passed, failed = np.random.default_rng(11), 0, 0
    for _ in range(gates):
        label, ours, theirs = opposite_habits(metric, rng, 400)
        if population:  # the set's own difference decides which error is possible
            cases = slice(0, 250)
            exact = decide_difference(metric, label, ours, theirs, population=population).estimate
            test = ratio_difference_test(metric, exact, direction="better_than", population=population)
        else:
            cases, test = slice(None), ratio_difference_test(metric, 0.0, limit=400)
        test.extend(*(count_cases(metric, label[cases], np.asarray(flags, bool)[cases]) for flags in (ours, theirs)))
        passed += test.decision == "PASS"
        failed += test.decision == "FAIL"
    kind = "set" if population else "source"
    record_figure(f"equal policies on a {kind}, {metric}: false PASS", passed / gates)
    record_figure(f"equal policies on a {kind}, {metric}: false FAIL", failed / gates)
    for errors in (passed, failed):
        assert stats.binomtest(errors, gates, 0.05, alternative="greater").pvalue > SURE


def test_the_references_sample_value_as_the_bar_is_caught():
    """The naive rule: the reference's value on 400 cases is the threshold, and the policy is tested against it."""
    rng, passed, gates = np.random.default_rng(13), 0, 400
    for _ in range(gates):
        label, ours, theirs = opposite_habits("precision", rng, 400)
        bar = label[theirs].mean()
        test = MeanTest(float(bar), direction="better_than", limit=400)
        test.extend(label[ours].astype(float))
        passed += test.decision == "PASS"
    assert stats.binomtest(passed, gates, 0.05, alternative="greater").pvalue < SURE


@pytest.mark.parametrize("gates", [20, pytest.param(1_000, marks=pytest.mark.verify)])
def test_precision_of_080_is_told_from_070(gates, record_figure):
    """Both flag half of the cases, independently of each other."""
    rng, units = np.random.default_rng(17), []
    for _ in range(gates):
        ours, theirs = rng.random(2_000) < 0.5, rng.random(2_000) < 0.5
        # P(label | flags) with .8 given ours and .7 given theirs
        chance = np.where(ours & theirs, 0.85, np.where(ours, 0.75, np.where(theirs, 0.55, 0.3)))
        label = rng.random(2_000) < chance
        result = decide_difference("precision", label, ours, theirs, limit=2_000)
        units.append(result.decided_at if result.decision == "PASS" else np.inf)
    units = np.array(units)
    record_figure("precision .8 against .7: share decided", np.isfinite(units).mean())
    record_figure("precision .8 against .7: cases", np.minimum(units, 2_000).mean())
    assert np.isfinite(units).mean() >= 0.95 - 0.2 * (gates < 500)
    assert np.minimum(units, 2_000).mean() <= 700


@pytest.mark.parametrize("metric", ["recall", "accuracy"])
@pytest.mark.parametrize("gates", [60, pytest.param(1_000, marks=pytest.mark.verify)])
def test_recall_and_accuracy_of_085_are_told_from_080(metric, gates, record_figure):
    rng, units = np.random.default_rng(19), []
    for _ in range(gates):
        label = np.ones(8_000, bool) if metric == "recall" else rng.random(8_000) < 0.5
        ours, theirs = (np.where(rng.random(8_000) < rate, label, ~label) for rate in (0.85, 0.8))
        result = decide_difference(metric, label, ours, theirs, limit=8_000)
        units.append(result.decided_at if result.decision == "PASS" else 8_000)
    record_figure(f"{metric} .85 against .8: cases", np.mean(units))
    assert np.mean(units) <= 1_800
