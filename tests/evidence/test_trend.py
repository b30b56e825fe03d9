"""The trend test: rising returns, and returns whose autocorrelation only looks like a rise."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats

from rl_eval.errors import InputError
from rl_eval.evidence import trend


def autocorrelated(rng, series, length, correlation):
    noise = rng.normal(0, 1, (length, series))
    values = np.empty_like(noise)
    values[0] = noise[0] / np.sqrt(1 - correlation**2)
    for t in range(1, length):
        values[t] = correlation * values[t - 1] + noise[t]
    return values.T


@pytest.mark.parametrize(("length", "correlation"), [(200, 0.0), (200, 0.5), (400, 0.9)])
def test_autocorrelation_alone_is_rarely_called_a_trend(length, correlation, record_figure):
    values = autocorrelated(np.random.default_rng(0), 500, length, correlation)
    rises = sum(trend(v, permutations=499).rises for v in values)
    record_figure(f"trend found where there is none, correlation {correlation}", rises / 500)
    # neighbouring blocks of a strongly correlated series still resemble each other a little
    assert stats.binomtest(rises, 500, 0.05 if correlation < 0.9 else 0.1, alternative="greater").pvalue > 1e-3


def test_permuting_single_returns_would_be_fooled():
    values = autocorrelated(np.random.default_rng(0), 500, 400, 0.9)
    rises = sum(trend(v, blocks=400, permutations=499).rises for v in values)
    assert stats.binomtest(rises, 500, 0.1, alternative="greater").pvalue < 1e-3


def test_a_learning_curve_rises_and_its_mirror_image_does_not():
    rng = np.random.default_rng(1)
    curve = 200 * (1 - np.exp(-np.arange(150) / 30)) + autocorrelated(rng, 1, 150, 0.7)[0] * 20
    up, down = trend(curve), trend(-curve)
    assert up.rises
    assert up.slope > 50
    assert not down.rises
    assert down.p_value > 0.9


def test_p_against_every_order_of_six_blocks():
    values = np.array([1.0, 3.0, 2.0, 5.0, 4.0, 4.5])
    time = np.arange(6) - 2.5
    orders = np.array(list(itertools.permutations(values))) @ time
    exact = (orders >= values @ time - 1e-9).mean()
    assert trend(values, blocks=6, permutations=50_000).p_value == pytest.approx(exact, abs=3e-3)


def test_constant_returns_have_no_trend():
    result = trend(np.full(40, 7.0))
    assert (result.rises, result.p_value, result.slope) == (False, 1.0, 0.0)


def test_it_is_seeded():
    values = np.random.default_rng(2).normal(size=60)
    assert trend(values, seed=5) == trend(values, seed=5)
    assert trend(values, seed=5).p_value != trend(values, seed=6).p_value


@pytest.mark.parametrize("values", [[], [1.0, 2.0, 3.0], [1.0, np.nan, 3.0, 4, 5, 6, 7]])
def test_too_short_or_broken_series_are_errors(values):
    with pytest.raises(InputError):
        trend(np.array(values))
