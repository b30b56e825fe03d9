"""A policy that changes while it is judged is noticed, one that does not is left alone; dependent units are named."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from rl_eval.evidence import Change, change_in_play
from rl_eval.evidence.order_of_play import CHANGE_ALPHA, WARNING_ALPHA
from tests.evidence import simulated_policies as policies
from tests.evidence.simulated_gates import decide_means

ALPHA, SURE = 0.05, 1e-3


def changes(xs):
    return [change_in_play(row, seed) for seed, row in enumerate(xs)]


def correlated(rng, gates, units, correlation):
    """Values in [0, 1] with a mean of ½; each goes with the one before it."""
    x = np.empty((gates, units))
    x[:, 0] = rng.normal(size=gates)
    for t in range(1, units):
        x[:, t] = correlation * x[:, t - 1] + (1 - correlation**2) ** 0.5 * rng.normal(size=gates)
    return stats.norm.cdf(x)


def played_until_decided(xs, theta, low=0.0, high=1.0, least=100):
    """Each row as a gate plays it: on a schedule, until it is decided."""
    limit = xs.shape[1]
    decided = decide_means(xs, theta, low, high).stopped_at
    schedule = [least]
    while schedule[-1] < limit:
        schedule.append(min(schedule[-1] + max(schedule[-1] // 4, 16), limit))
    ends = np.array(schedule)[np.searchsorted(schedule, decided)]
    return [row[:end] for row, end in zip(xs, ends, strict=True)]


@pytest.mark.parametrize("world", ["returns", "successes", "rare failures"])
@pytest.mark.parametrize("stops", [False, True], ids=["all is played", "stops when decided"])
@pytest.mark.parametrize("gates", [1_000, pytest.param(20_000, marks=pytest.mark.verify)])
def test_an_unchanged_policy_is_seldom_called_changed(world, stops, gates, record_figure):
    rng = np.random.default_rng(43)
    if world == "returns":
        xs, bar, bounds = policies.lander_returns(rng, gates, 400, 215.0), 200.0, (policies.LOW, policies.HIGH)
    else:
        rate, bar = (0.85, 0.8) if world == "successes" else (0.97, 0.95)
        xs, bounds = policies.successes(rng, gates, 400, rate), (0.0, 1.0)
    found = changes(played_until_decided(xs, bar, *bounds) if stops else xs)
    alarms = sum(change.changed for change in found)
    warnings = sum(change.correlation is not None for change in found)
    name = f"{world}, {'stops when decided' if stops else 'all is played'}"
    record_figure(f"{name}: unchanged and called changed", alarms / gates)
    record_figure(f"{name}: independent and called correlated", warnings / gates)
    assert stats.binomtest(alarms, gates, CHANGE_ALPHA, alternative="greater").pvalue > SURE
    assert stats.binomtest(warnings, gates, WARNING_ALPHA, alternative="greater").pvalue > SURE


@pytest.mark.parametrize(
    ("before", "after", "units", "power"), [(0.95, 0.75, 400, 0.85), (0.95, 0.5, 100, 0.85), (0.9, 0.8, 400, 0.1)]
)
@pytest.mark.parametrize("gates", [30, pytest.param(3_000, marks=pytest.mark.verify)])
def test_a_policy_that_changes_in_the_last_third_is_noticed(before, after, units, power, gates, record_figure):
    rng = np.random.default_rng(47)
    rates = np.where(np.arange(units) < units - units // 3, before, after)
    xs = (rng.random((gates, units)) < rates).astype(float)
    noticed = sum(change.changed for change in changes(xs)) / gates
    record_figure(f"success {before} and {after} in the last third of {units}: noticed", noticed)
    assert noticed >= power - 3 * (power * (1 - power) / gates) ** 0.5


@pytest.mark.parametrize("gates", [40, pytest.param(3_000, marks=pytest.mark.verify)])
def test_correlated_units_are_named_since_alpha_does_not_hold_for_them(gates, record_figure):
    xs = correlated(np.random.default_rng(53), gates, 400, 0.9)
    passed = int((decide_means(xs, 0.5).decision == "PASS").sum())
    named = sum(change.correlation is not None for change in changes(xs[: min(gates, 600)])) / min(gates, 600)
    record_figure("AR(.9) units at the bar: false PASS", passed / gates)
    record_figure("AR(.9) units: named", named)
    assert stats.binomtest(passed, gates, ALPHA, alternative="greater").pvalue < SURE
    assert named >= 0.99


def test_change_is_that_of_the_thirds_and_correlation_that_of_neighbours():
    steady = np.tile([0.0, 1.0], 60)
    assert change_in_play(steady, 0).changed is False
    halves = np.repeat([0.0, 1.0], 60)
    change = change_in_play(halves, 0)
    assert (change.first, change.last, change.changed) == (0.0, 1.0, True)
    assert change.correlation == pytest.approx(118 / 120, abs=0.01)


def test_too_few_or_equal_units_say_nothing():
    assert change_in_play(np.linspace(0, 1, 59), 0) == Change()
    assert change_in_play(np.ones(400), 0) == Change()
