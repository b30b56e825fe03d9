"""An interval for the share of hits among informative cases, from all units that were played."""

from __future__ import annotations

from math import log

import numpy as np

from rl_eval.evidence.betting import LARGEST_STAKE
from rl_eval.evidence.finite_population import remaining_mean, sum_before

# The stakes of the fixed bets, each as a share of the capital: from one that tells means apart after a million units.
_STAKES = np.geomspace(1e-4, LARGEST_STAKE, 48)
_BISECTIONS = 26


def share_interval(
    hits: np.ndarray,
    informative: np.ndarray,
    longest: float,
    alpha: float,
    population: int | None = None,
    bisections: int = _BISECTIONS,
) -> tuple[float, float]:
    """The shares p that the units do not refute, with probability 1−2α for the true one at any time of looking.

    The capital against "the share is at most p" is the mean of the capitals of fixed bets, which stake the part κ:

        K⁺(p) = meanκ ∏ᵢ (1 + κ (hᵢ / p − nᵢ) / L)

    with h hits among n ≤ L informative cases. p is refuted once K⁺(p) ≥ 1/α, and likewise from above with the misses.
    K⁺(p) falls as p grows, so what is not refuted is an interval. No factor's bet is on the estimate h̄/n̄, where K ≤ 1
    (Jensen), so the interval contains it. On a finite set the bets are against what is left (`finite_population`).

    Args:
        hits, informative: `[n]`, 0 ≤ hits ≤ informative ≤ longest.
        longest: L.
        population: N of a finite set, of which these are the first units in random order.

    Returns:
        Lower and upper end, in [0, 1].
    """
    total = float(informative.sum())
    if not total:
        return 0.0, 1.0
    estimate = float(hits.sum()) / total
    lower = _lowest(hits, informative, longest, alpha, population, estimate, bisections)
    upper = 1 - _lowest(informative - hits, informative, longest, alpha, population, 1 - estimate, bisections)
    return lower, max(upper, estimate)


def _lowest(
    hits: np.ndarray,
    informative: np.ndarray,
    longest: float,
    alpha: float,
    population: int | None,
    estimate: float,
    bisections: int,
) -> float:
    """The smallest share that is not refuted as too low."""
    bar = log(1 / alpha)
    if population is None:
        rows, counts = np.unique(np.column_stack([hits, informative]), axis=0, return_counts=True)

        def capital(p: float) -> float:
            growth = np.log1p(_STAKES * ((rows[:, :1] / p - rows[:, 1:]) / longest))
            return float(log_mean_exp(counts @ growth))
    else:

        def capital(p: float) -> float:
            return _capital_on_a_set(hits, informative, longest, population, p)

    low, high = 0.0, estimate
    for _ in range(bisections):
        middle = (low + high) / 2
        if middle and capital(middle) < bar:
            high = middle
        else:
            low = middle
    return low


def _capital_on_a_set(hits: np.ndarray, informative: np.ndarray, longest: float, population: int, p: float) -> float:
    z = (hits - p * informative) / longest
    shift = remaining_mean(sum_before(z, 0.0), np.arange(len(z)), population)
    means = p + shift
    if means.min() <= 0:  # what is left would have to be negative
        return np.inf
    gains = (z - shift) / np.maximum(means, 1e-12)
    return float(log_mean_exp(np.log1p(_STAKES * np.maximum(gains, -1.0)[:, None]).sum(axis=0)))


def log_mean_exp(values: np.ndarray) -> np.ndarray:
    """log of the mean of exp(values) over the last axis, without overflow."""
    most = values.max(axis=-1)
    return np.log(np.exp(values - most[..., None]).mean(axis=-1)) + most
