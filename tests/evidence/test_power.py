"""Simulated chances agree with exact ones, and what is drawn has the stated true value."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from rl_eval.errors import InputError
from rl_eval.evidence import MeanTest, count_cases, draw_flags, draw_values, flag_rates, simulate_gates
from rl_eval.evidence.ratio_metrics import ratio_value

UNITS, BAR, ALPHA = 9, 0.4, 0.2


def tiny_test():
    return MeanTest(BAR, alpha=ALPHA, limit=UNITS)


def exact_chances(rate):
    """PASS and FAIL over all 2^9 sequences."""
    chances = {"PASS": 0.0, "FAIL": 0.0, "INCONCLUSIVE": 0.0}
    for sequence in itertools.product([0.0, 1.0], repeat=UNITS):
        test = tiny_test()
        test.extend(np.array(sequence))
        hits = sum(sequence)
        chances[test.decision] += rate**hits * (1 - rate) ** (UNITS - hits)
    return chances


@pytest.mark.parametrize("rate", [0.1, 0.4, 0.8])
def test_the_simulation_agrees_with_all_sequences_of_a_tiny_gate(rate):
    gates = 2_000

    def play(test, rng):
        test.extend(draw_values(rng, UNITS, rate, None, 0.0, 1.0, exact=False))

    power = simulate_gates(tiny_test, play, gates, np.random.default_rng(1))
    exact = exact_chances(rate)
    for share, decision in (
        (power.passes, "PASS"),
        (power.fails, "FAIL"),
        (power.inconclusive, "INCONCLUSIVE"),
    ):
        error = (exact[decision] * (1 - exact[decision]) / gates) ** 0.5
        assert abs(share - exact[decision]) <= 4 * error + 1e-12
    assert 0.02 < max(exact["PASS"], exact["FAIL"]) < 0.999  # the gate is no foregone conclusion


def test_only_gates_that_decide_count_for_the_median():
    power = simulate_gates(tiny_test, lambda test, rng: test.extend(np.array([0.4])), 5, np.random.default_rng(0))
    assert (power.passes, power.fails, power.inconclusive, power.median_units) == (0, 0, 1, None)


@pytest.mark.parametrize("std", [None, 80.0, 0.0])
def test_values_have_the_stated_mean_and_deviation(std):
    values = draw_values(np.random.default_rng(2), 200_000, 230.0, std, -500.0, 330.0, exact=False)
    largest = ((230 + 500) * (330 - 230)) ** 0.5
    assert values.min() >= -500
    assert values.max() <= 330
    assert values.mean() == pytest.approx(230, abs=3)
    assert values.std() == pytest.approx(largest if std is None else std, rel=0.02)


@pytest.mark.parametrize("std", [None, 80.0])
def test_a_finite_set_has_the_stated_mean_to_one_value(std):
    for seed in range(5):
        values = draw_values(np.random.default_rng(seed), 997, 230.0, std, -500.0, 330.0, exact=True)
        assert abs(values.mean() - 230) <= 830 / 997


@pytest.mark.parametrize(("mean", "std"), [(400.0, None), (230.0, 271.0), (230.0, -1.0)])
def test_values_that_are_not_possible_are_refused(mean, std):
    with pytest.raises(InputError):
        draw_values(np.random.default_rng(0), 10, mean, std, -500.0, 330.0, exact=False)


@pytest.mark.parametrize("metric", ["f1", "precision", "recall", "false_positive_rate", "accuracy"])
@pytest.mark.parametrize("exact", [False, True])
def test_flags_have_the_stated_value_of_the_metric(metric, exact):
    rng = np.random.default_rng(3)
    labels = rng.random(100_000) < 0.2
    flagged = draw_flags(rng, labels, *flag_rates(metric, 0.7, float(labels.mean())), exact=exact)
    value = ratio_value(metric, *(counts.sum() for counts in count_cases(metric, labels, flagged)))
    assert value == pytest.approx(0.7, abs=1e-4 if exact else 0.01)


def test_a_share_that_needs_more_false_positives_than_there_are_cases_is_refused():
    with pytest.raises(InputError, match="f1"):
        flag_rates("f1", 0.5, 0.8)
