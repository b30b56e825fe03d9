"""Finite sets: what the units already seen say about those still to come.

Of a set of N units visited in random order, the next one is drawn from those that are left. If the mean of the whole
set were μ, the mean of what is left before unit t would be

    mₜ(μ) = (N μ − Σᵢ<ₜ xᵢ) / (N − t + 1),

so betting against mₜ(μ) in place of μ is a martingale again, and one that knows more with every unit.

Waudby-Smith and Ramdas, *Confidence sequences for sampling without replacement*, NeurIPS 2020 (arXiv 2006.04347).
"""

from __future__ import annotations

import numpy as np

# Rounding of a running sum, in units; a candidate that is off by less is not called impossible.
_ROUNDING = 1e-9


def conditional_means(candidates: np.ndarray, sums: np.ndarray, seen: np.ndarray, population: int) -> np.ndarray:
    """mₜ(μ) of every candidate, kept in [0, 1]; outside, the candidate is `impossible` and its bets do not matter.

    Args:
        candidates: `[K]` means of the whole set, of units in [0, 1].
        sums: `[n, 1]` or `[n, K]` Σᵢ<ₜ xᵢ.
        seen: `[n, 1]` t − 1, less than `population`.
        population: N.

    Returns:
        `[n, K]`.
    """
    return np.clip((population * candidates - sums) / (population - seen), 0.0, 1.0)


def impossible(
    candidates: np.ndarray, sums: np.ndarray, seen: np.ndarray, population: int
) -> tuple[np.ndarray, np.ndarray]:
    """Candidates that no completion of the set could have as its mean.

    N μ < Σᵢ≤ₜ xᵢ would need units below 0, N μ > Σᵢ≤ₜ xᵢ + (N − t) units above 1.

    Args:
        candidates, population: as in `conditional_means`.
        sums: `[n, 1]` or `[n, K]` Σᵢ≤ₜ xᵢ.
        seen: `[n, 1]` t.

    Returns:
        Which candidates are too low and which too high, each bool `[n, K]`.
    """
    left = population * candidates - sums
    slack = _ROUNDING * population
    return left < -slack, left > population - seen + slack
