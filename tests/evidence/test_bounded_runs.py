"""Mean and variance over runs of bounded values: errors where some runs collapse, and what decides at all."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from rl_eval.errors import InputError
from rl_eval.evidence import decide_over_runs, least_runs
from rl_eval.evidence.bounded_runs import is_above

SURE = 1e-3
SIZES = [200, pytest.param(3_000, marks=pytest.mark.verify)]
RUNS = [5, 8, 10, 20]
UNIT = (0.0, 1.0)


def collapses(rng, shape):
    """One run in ten scores 0."""
    return np.where(rng.random(shape) < 0.1, 0.0, 0.95)


def lotteries(rng, shape):
    return rng.choice([0.0, 1.0], shape, p=[0.4, 0.6])


def steady(rng, shape):
    return 0.6 + 0.05 * (rng.random(shape) - 0.5)


# world -> the draw, its mean, and its variance
WORLDS = {
    "collapse": (collapses, 0.9 * 0.95, 0.95**2 * 0.09),
    "lottery": (lotteries, 0.6, 0.24),
    "steady": (steady, 0.6, 0.05**2 / 12),
}
THRESHOLDS = {
    "mean": lambda mean, variance: mean,
    "variance": lambda mean, variance: variance,
    "std": lambda mean, variance: variance**0.5,
}


def decisions(world, statistic, runs, size, bounds):
    """Gates at the boundary, where the true value is the bar."""
    draw, mean, variance = WORLDS[world]
    theta = THRESHOLDS[statistic](mean, variance)
    direction = "at_least" if statistic == "mean" else "at_most"
    samples = draw(np.random.default_rng(3), (size, runs))
    return [decide_over_runs(x, theta, statistic, 0.05, direction, bounds).decision for x in samples]


def is_more_than_alpha(count, size):
    return stats.binomtest(count, size, 0.05, alternative="greater").pvalue < SURE


@pytest.fixture
def quick(monkeypatch):
    """Without intervals and advice, which decide nothing."""
    monkeypatch.setattr("rl_eval.evidence.bounded_runs._BISECTIONS", 0)
    monkeypatch.setattr("rl_eval.evidence.bounded_runs._more_runs", lambda *_: None)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("runs", RUNS)
@pytest.mark.parametrize("statistic", THRESHOLDS)
@pytest.mark.parametrize("world", WORLDS)
def test_errors_at_the_boundary_are_at_most_alpha(quick, world, statistic, runs, size, record_figure):
    decided = decisions(world, statistic, runs, size, UNIT)
    for error in ("PASS", "FAIL"):
        record_figure(f"{world}, {statistic} of {runs} runs: false {error}", decided.count(error) / size)
        assert not is_more_than_alpha(decided.count(error), size)


@pytest.mark.parametrize(
    ("statistic", "runs"), [("mean", 5), ("mean", 8), ("mean", 10), ("variance", 5), ("variance", 8), ("std", 10)]
)
def test_assuming_normal_runs_that_collapse_is_caught(statistic, runs, record_figure):
    decided = decisions("collapse", statistic, runs, 300, None)
    record_figure(f"collapse, {statistic} of {runs} runs assumed normal: false PASS", decided.count("PASS") / 300)
    assert is_more_than_alpha(decided.count("PASS"), 300)


@pytest.mark.parametrize(
    ("theta", "statistic", "direction", "least"),
    [
        (0.8, "mean", "at_least", 14),  # .8¹⁴ ≤ .05
        (0.5, "mean", "at_least", 5),
        (0.1, "mean", "at_most", 29),
        (0.01, "variance", "at_most", 298),  # 149 pairs: .98¹⁴⁹ ≤ .05
        (0.1, "std", "at_most", 298),
        (0.2, "variance", "at_least", 8),
        (1.0, "mean", "at_least", None),
    ],
)
def test_the_least_number_of_runs_passes_and_one_less_cannot(theta, statistic, direction, least):
    assert least_runs(theta, UNIT, statistic, 0.05, direction) == least
    if least is None:
        return
    best = {"at_least": np.ones(least), "at_most": np.zeros(least)}[direction]
    if statistic != "mean" and direction == "at_least":
        best = np.arange(least) % 2.0
    step = 1 if statistic == "mean" else 2
    for values, decision in ((best, "PASS"), (best[:-step], "INCONCLUSIVE")):
        assert decide_over_runs(values, theta, statistic, 0.05, direction, UNIT).decision == decision


@pytest.mark.parametrize("bounds", [(0.0, 1.0), (-500.0, 330.0)])
def test_scale_and_direction_do_not_matter(bounds):
    low, width = bounds[0], bounds[1] - bounds[0]
    rng = np.random.default_rng(1)
    for _ in range(20):
        x = rng.beta(8, 2, 20)
        reference = decide_over_runs(x, 0.6, bounds=UNIT)
        scaled = decide_over_runs(low + width * x, low + width * 0.6, bounds=bounds)
        mirrored = decide_over_runs(1 - x, 0.4, direction="at_most", bounds=UNIT)
        assert reference.decision == scaled.decision == mirrored.decision
        assert (scaled.interval[0] - low) / width == pytest.approx(reference.interval[0], abs=1e-4)
        assert 1 - mirrored.interval[1] == pytest.approx(reference.interval[0], abs=1e-4)


@pytest.mark.parametrize("statistic", THRESHOLDS)
def test_the_interval_holds_the_estimate_and_an_undecided_bar(statistic):
    rng = np.random.default_rng(2)
    for _ in range(20):
        x = rng.beta(4, 1, 9)
        result = decide_over_runs(x, 0.2, statistic, bounds=UNIT)
        low, high = result.interval
        assert low <= result.estimate <= high
        if result.decision == "INCONCLUSIVE":
            assert low <= 0.2 <= high
            assert result.more is None or result.more >= 1


@pytest.mark.parametrize("size", [200, pytest.param(3_000, marks=pytest.mark.verify)])
def test_the_interval_of_a_mean_covers(size):
    rng = np.random.default_rng(4)
    missed = 0
    for x in collapses(rng, (size, 15)):
        low, high = decide_over_runs(x, 0.5, bounds=UNIT).interval
        missed += not low <= 0.9 * 0.95 <= high
    assert stats.binomtest(missed, size, 0.1, alternative="greater").pvalue > SURE


@pytest.mark.parametrize(
    ("values", "m", "share"),
    [(lambda rng: 0.8 + 0.1 * rng.normal(size=8), 0.5, 0.6), (lambda rng: rng.binomial(1, 0.95, 50) * 1.0, 0.8, 0.8)],
)
def test_it_decides(values, m, share):
    rng = np.random.default_rng(5)
    assert np.mean([is_above(np.clip(values(rng), 0, 1), m, 0.05) for _ in range(200)]) >= share


def test_values_outside_the_bounds_are_an_error():
    with pytest.raises(InputError, match="outside the bounds"):
        decide_over_runs(np.array([0.5, 1.5]), 0.5, bounds=UNIT)
