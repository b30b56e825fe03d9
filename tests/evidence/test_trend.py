"""The trend test: rising returns, and returns whose autocorrelation only looks like a rise."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from rl_eval.errors import InputError
from rl_eval.evidence import trend
from rl_eval.evidence.trend import _p_value

SURE = 1e-3
CORRELATIONS = [0.0, 0.5, 0.9]
LENGTHS = [20, 50, 200, 1_000]
SIZES = [300, pytest.param(3_000, marks=pytest.mark.verify)]


def autocorrelated(rng, series, length, correlation):
    """`[series, length]` stationary Gaussian AR(1) with innovations of variance 1."""
    noise = rng.normal(0, 1, (length, series))
    values = np.empty_like(noise)
    values[0] = noise[0] / np.sqrt(1 - correlation**2)
    for t in range(1, length):
        values[t] = correlation * values[t - 1] + noise[t]
    return values.T


def block_permutation(values, seed=0):
    """Whether the means of six blocks, each at least four correlation times long if possible, rise by permutation."""
    time = np.arange(len(values)) - (len(values) - 1) / 2
    residual = values - values.mean() - time * (time @ values) / (time @ time)
    correlation = np.clip(residual[1:] @ residual[:-1] / (residual @ residual), 0.0, 0.99)
    blocks = int(np.clip(len(values) // np.ceil(4 * (1 + correlation) / (1 - correlation)), 6, 20))
    means = np.array([part.mean() for part in np.array_split(values, blocks)])
    order = np.arange(blocks) - (blocks - 1) / 2
    permuted = np.random.default_rng(seed).permuted(np.broadcast_to(means, (499, blocks)), axis=1) @ order
    return (1 + (permuted >= order @ means).sum()) / 500 <= 0.05


def is_more_than(count, size, share):
    return stats.binomtest(int(count), size, share, alternative="greater").pvalue < SURE


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("correlation", CORRELATIONS)
def test_autocorrelation_alone_is_rarely_called_a_trend(size, length, correlation, record_figure):
    values = autocorrelated(np.random.default_rng(0), size, length, correlation)
    rises = sum(trend(v).rises for v in values)
    record_figure(f"trend found where there is none, {length} values, correlation {correlation}", rises / size)
    assert not is_more_than(rises, size, 0.05)


@pytest.mark.parametrize(("length", "correlation"), [(20, 0.9), (50, 0.9), (50, 0.97), (200, 0.97)])
def test_permuting_blocks_of_a_sticky_series_is_caught(length, correlation):
    values = autocorrelated(np.random.default_rng(0), 300, length, correlation)
    assert is_more_than(sum(map(block_permutation, values)), 300, 0.05)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("correlation", CORRELATIONS)
def test_a_moving_mean_of_flat_returns_is_rarely_called_a_trend(size, correlation):
    # what a run logs: the mean over the latest 100 episodes, a row every 1 to 50 of them
    step = {0.0: 100, 0.5: 50, 0.9: 10}[correlation]
    returns = np.random.default_rng(1).normal(size=(size, 100 + 60 * step))
    sums = np.cumsum(returns, axis=1)
    rows = (sums[:, 100::step] - sums[:, :-100:step]) / 100
    assert not is_more_than(sum(trend(v).rises for v in rows), size, 0.05)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("peak", [0.5, 0.7, 0.85, 0.95])
def test_a_rise_that_collapses_is_rarely_called_a_trend(size, correlation, peak, record_figure):
    # back to where it began, within a fifth of the rest
    time = np.linspace(0, 1, 200)
    curve = np.interp(time, [0, peak, peak + 0.2 * (1 - peak), 1], [0, 10, 0, 0])
    noise = autocorrelated(np.random.default_rng(2), size, 200, correlation) * np.sqrt(1 - correlation**2)
    rises = sum(trend(v).rises for v in curve + noise)
    record_figure(f"a rise that collapses at {peak}, correlation {correlation}", rises / size)
    assert not is_more_than(rises, size, 0.05)
    if peak == 0.95 and correlation == 0.0:
        assert is_more_than(sum(map(block_permutation, (curve + noise)[:300])), 300, 0.05)


@pytest.mark.parametrize(
    ("length", "correlation", "share"),
    [(30, 0.0, 0.6), (50, 0.0, 0.95), (100, 0.5, 0.9), (200, 0.5, 0.95), (1_000, 0.9, 0.95)],
)
def test_a_learning_curve_of_ten_deviations_rises(length, correlation, share, record_figure):
    time = np.linspace(0, 1, length)
    noise = autocorrelated(np.random.default_rng(3), 200, length, correlation) * np.sqrt(1 - correlation**2)
    rises = sum(trend(v).rises for v in 10 * (1 - np.exp(-2 * time)) / (1 - np.exp(-2)) + noise)
    record_figure(f"a rise of ten deviations, {length} values, correlation {correlation}", rises / 200)
    assert rises / 200 >= share


# `episode_return_new` of training runs, and how many episodes each value is the mean of.
LUNARLANDER = [
    *(-146, -179, -137, -114, -84, -81, -58, -44, -21, -10, -15, -37, -34, -71, -2, -118, -31, 39, 95, 95),
]
LUNARLANDER_EPISODES = [5, 59, 39, 52, 41, 41, 41, 31, 43, 14, 19, 15, 9, 5, 2, 1, 2, 1, 6, 11]
CARTPOLE = [20, 24, 33, 43, 55, 64, 80, 90, 102, 124, 126, 144]


@pytest.mark.parametrize(("curve", "episodes"), [(LUNARLANDER, LUNARLANDER_EPISODES), (CARTPOLE, [20] * 12)])
def test_the_training_curve_of_a_run_that_learns_rises(curve, episodes):
    curve, episodes = np.array(curve, float), np.array(episodes, float)
    up, down = trend(curve, episodes=episodes), trend(-curve, episodes=episodes)
    assert up.p_value < 0.02
    assert 0.7 * (curve[-1] - curve[0]) < up.slope < 1.4 * (curve[-1] - curve[0])
    assert not down.rises
    assert down.p_value == 1.0


def test_a_mean_of_few_episodes_weighs_little():
    curve = np.array(LUNARLANDER, float)
    weighted = trend(curve, episodes=np.array(LUNARLANDER_EPISODES, float))
    assert weighted.p_value < trend(curve).p_value / 5
    equal = trend(curve, episodes=np.full(20, 7.0))
    assert equal.p_value == pytest.approx(trend(curve).p_value, rel=1e-9)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("correlation", [0.0, 0.5])
@pytest.mark.parametrize("drift", [0.0, 0.1, 0.3, 1.0])
def test_unequal_counts_of_flat_returns_are_rarely_called_a_trend(size, correlation, drift, record_figure):
    # the policy drifts by so many standard deviations of an episode's return
    episodes = np.array(LUNARLANDER_EPISODES, float)
    rng = np.random.default_rng(5)
    policies = autocorrelated(rng, size, 20, correlation) * np.sqrt(1 - correlation**2)
    values = drift * policies + rng.normal(size=(size, 20)) / np.sqrt(episodes)
    rises = sum(trend(v, episodes=episodes).rises for v in values)
    record_figure(f"trend in flat returns of unequal counts, correlation {correlation}, drift {drift}", rises / size)
    assert not is_more_than(rises, size, 0.05)


@pytest.mark.parametrize("weights", [np.ones(40), np.linspace(0.2, 1.8, 40)], ids=["equal", "unequal"])
@pytest.mark.parametrize("correlation", [1e-9, 0.5, 0.9, 0.99])
def test_p_is_that_of_generalised_least_squares(correlation, weights):
    # against matrices: for a known correlation the slope is that of ordinary least squares of whitened rows
    rng = np.random.default_rng(4)
    values = autocorrelated(rng, 1, 40, 0.6)[0] + np.linspace(0, 3, 40)
    time = np.linspace(-1, 1, 40)
    lags = np.abs(np.subtract.outer(np.arange(40), np.arange(40)))
    covariance = correlation**lags / (1 - correlation**2) / np.sqrt(np.outer(weights, weights))
    white = np.linalg.inv(np.linalg.cholesky(covariance))
    design, target = white @ np.stack([time, np.ones(40)], axis=1), white @ values
    fit, residual = np.linalg.lstsq(design, target, rcond=None)[:2]
    variance = residual[0] / 38
    slope_t = fit[0] / np.sqrt(variance * np.linalg.inv(design.T @ design)[0, 0])
    degrees = max(40 * (1 - correlation) / (1 + correlation), 3)
    expected = stats.t.sf(slope_t, degrees)
    roots = np.sqrt(weights)
    assert _p_value(values - values.mean(), time, correlation, roots) == pytest.approx(expected, rel=1e-6)


def test_neither_scale_nor_level_matters():
    values = autocorrelated(np.random.default_rng(6), 1, 60, 0.5)[0] + np.linspace(0, 5, 60)
    reference = trend(values)
    scaled = trend(1e4 * values - 1e6)
    assert scaled.p_value == pytest.approx(reference.p_value, rel=1e-6)
    assert scaled.slope == pytest.approx(1e4 * reference.slope, rel=1e-6)


def test_constant_returns_have_no_trend():
    result = trend(np.full(40, 7.0))
    assert (result.rises, result.p_value, result.slope) == (False, 1.0, 0.0)


def test_a_straight_line_rises():
    result = trend(np.arange(12.0))
    assert (result.rises, result.p_value) == (True, 0.0)
    assert result.slope == pytest.approx(11)


@pytest.mark.parametrize("episodes", [np.ones(11), np.append(np.ones(11), 0.0), np.append(np.ones(11), np.nan)])
def test_impossible_counts_are_errors(episodes):
    with pytest.raises(InputError):
        trend(np.arange(12.0), episodes=episodes)


@pytest.mark.parametrize("values", [[], [1.0, 2.0, 3.0], [1.0, np.nan, 3.0, 4, 5, 6, 7]])
def test_too_short_or_broken_series_are_errors(values):
    with pytest.raises(InputError):
        trend(np.array(values))
