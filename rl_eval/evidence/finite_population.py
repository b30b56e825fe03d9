"""Finite sets, drawn without replacement: the mean of the remaining units, and means that are impossible.

A set of N units is visited in random order, so the next unit is drawn from those that are left. If the mean of all
units were μ, the mean of those left before unit t would be

    mₜ(μ) = (N μ − Σᵢ<ₜ xᵢ) / (N − t + 1),

so betting against mₜ(μ) in place of μ is a martingale again. It learns more with every unit.

Waudby-Smith and Ramdas, *Confidence sequences for sampling without replacement*, NeurIPS 2020 (arXiv 2006.04347).
"""

from __future__ import annotations

import numpy as np

# Rounding of a running sum, in units; a candidate that is off by less is not called impossible.
_ROUNDING = 1e-9


def conditional_means(candidates: np.ndarray, sums: np.ndarray, units: np.ndarray, population: int) -> np.ndarray:
    """mₜ(μ) of every candidate, clipped to [0, 1]; outside, the candidate is impossible and its bets do not matter.

    Args:
        candidates: `[K]` means of all units of the set; units are in [0, 1].
        sums: `[n, 1]` or `[n, K]` Σᵢ<ₜ xᵢ.
        units: `[n, 1]` t − 1, less than `population`.
        population: N.

    Returns:
        `[n, K]`.
    """
    return np.clip((population * candidates - sums) / (population - units), 0.0, 1.0)


def impossible_means(
    candidates: np.ndarray, sums: np.ndarray, units: np.ndarray, population: int
) -> tuple[np.ndarray, np.ndarray]:
    """Candidates that the set cannot have as its mean, whatever the units that are left.

    N μ < Σᵢ≤ₜ xᵢ would need units below 0, N μ > Σᵢ≤ₜ xᵢ + (N − t) units above 1.

    Args:
        candidates, population: as in `conditional_means`.
        sums: `[n, 1]` or `[n, K]` Σᵢ≤ₜ xᵢ.
        units: `[n, 1]` t.

    Returns:
        Which candidates are too low and which too high, both bool `[n, K]`.
    """
    remaining_sum = population * candidates - sums
    slack = _ROUNDING * population
    return remaining_sum < -slack, remaining_sum > population - units + slack
