"""An interval for the share of hits among informative cases, from all units that were played."""

from __future__ import annotations

from collections.abc import Callable
from math import log

import numpy as np

from rl_eval.evidence.betting import LARGEST_STAKE, OneSidedBet
from rl_eval.evidence.finite_population import remaining_mean, sum_before

# The stakes of the fixed bets, each as a share of the capital: from one that distinguishes means after a million units.
_STAKES = np.geomspace(1e-4, LARGEST_STAKE, 48)
_BISECTIONS = 26


# Up to this limit of units, the interval is that of the bets which decide; they take a pass over the units each.
MOST_FOR_DECIDING_BETS = 2_000
_CANDIDATES = 12


def share_interval(
    hits: np.ndarray,
    informative: np.ndarray,
    longest: float,
    alpha: float,
    population: int | None = None,
    limit: int | None = None,
    bisections: int = _BISECTIONS,
) -> tuple[float, float]:
    """The shares p that the units do not refute, with probability 1−2α for the true one at any time of looking.

    p is refuted from below once the capital K⁺(p) of a bet on "the share is above p" is at least 1/α, and in the same
    way from above with the misses. Where there will be at most 2,000 units, the bets are those that decide (`betting`),
    made against every p. Beyond that they are fixed stakes κ, which need no pass over the units:

        K⁺(p) = meanκ ∏ᵢ (1 + κ (hᵢ / p − nᵢ) / L)

    with h hits among n ≤ L informative cases. This falls as p grows, and is at most 1 at the estimate (Jensen). On a
    finite set the bets are against what is left (`finite_population`).

    Args:
        hits, informative: `[n]`, 0 ≤ hits ≤ informative ≤ longest.
        longest: L.
        population: N of a finite set; these units are its first in random order.
        limit: how many units there will be at most; None if that is unknown.
        bisections: of the search for each end.

    Returns:
        Lower and upper end, in [0, 1]. The estimate is between them.
    """
    total = float(informative.sum())
    if not total:
        return 0.0, 1.0
    estimate = float(hits.sum()) / total

    def lowest(hits: np.ndarray, estimate: float) -> float:
        if limit is not None and limit <= MOST_FOR_DECIDING_BETS:
            capital = _of_deciding_bets(hits, informative, longest, population, alpha, limit)
            return _lowest(capital, estimate, alpha, _CANDIDATES, max(bisections // 3, 3))
        return _lowest(_of_fixed_stakes(hits, informative, longest, population), estimate, alpha, 1, bisections)

    lower, upper = lowest(hits, estimate), 1 - lowest(informative - hits, 1 - estimate)
    return lower, max(upper, estimate)


def _lowest(
    capital: Callable[[float], float], estimate: float, alpha: float, candidates: int, bisections: int
) -> float:
    """The smallest share below the estimate that is not refuted as too low."""
    bar = log(1 / alpha)
    edges = np.linspace(0.0, estimate, candidates + 1)
    # the first edge that is not refuted; the search is between it and the one before
    index = next((i for i in range(1, candidates) if capital(float(edges[i])) < bar), candidates)
    low, high = float(edges[index - 1]), float(edges[index])
    for _ in range(bisections):
        middle = (low + high) / 2
        if middle and capital(middle) < bar:
            high = middle
        else:
            low = middle
    return low


def _of_fixed_stakes(
    hits: np.ndarray, informative: np.ndarray, longest: float, population: int | None
) -> Callable[[float], float]:
    if population is not None:

        def capital_on_a_set(p: float) -> float:
            gains, means = _gains(hits, informative, longest, population, p)
            if means.min() <= 0:  # what is left would have to be negative
                return np.inf
            shares = np.maximum(gains / np.maximum(means, 1e-12), -1.0)
            return float(log_mean_exp(np.log1p(_STAKES * shares[:, None]).sum(axis=0)))

        return capital_on_a_set

    rows, counts = np.unique(np.column_stack([hits, informative]), axis=0, return_counts=True)

    def capital(p: float) -> float:
        return float(log_mean_exp(counts @ np.log1p(_STAKES * ((rows[:, :1] / p - rows[:, 1:]) / longest))))

    return capital


def _of_deciding_bets(
    hits: np.ndarray, informative: np.ndarray, longest: float, population: int | None, alpha: float, limit: int
) -> Callable[[float], float]:
    def capital(p: float) -> float:
        gains, means = _gains(hits, informative, longest, population, p)
        if means.min() <= 0:
            return np.inf
        means = np.minimum(means, 1.0)
        return float(OneSidedBet(p, alpha, limit).advance(np.maximum(gains, -means), means)[-1])

    return capital


def _gains(
    hits: np.ndarray, informative: np.ndarray, longest: float, population: int | None, p: float
) -> tuple[np.ndarray, np.ndarray]:
    """`[n]` xᵢ − mᵢ and mᵢ, as `betting` takes them."""
    z = (hits - p * informative) / longest
    if population is None:
        return z, np.full(len(z), p)
    shift = remaining_mean(sum_before(z, 0.0), np.arange(len(z)), population)
    return z - shift, p + shift


def log_mean_exp(values: np.ndarray) -> np.ndarray:
    """log of the mean of exp(values) over the last axis, without overflow."""
    most = values.max(axis=-1)
    return np.log(np.exp(values - most[..., None]).mean(axis=-1)) + most
