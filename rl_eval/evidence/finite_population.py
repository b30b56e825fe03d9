"""Finite sets, drawn without replacement: what is left has another mean than the whole.

A set of N units is visited in random order, so the next unit is drawn from those that are left. If the mean of all
units were m, the mean of those left before unit t would be

    mₜ = (N m − Σᵢ<ₜ xᵢ) / (N − t + 1),

so betting against mₜ in place of m is a martingale again. It learns more with every unit.

Waudby-Smith and Ramdas, *Confidence sequences for sampling without replacement*, NeurIPS 2020 (arXiv 2006.04347).
"""

from __future__ import annotations

import numpy as np

# Rounding of a running sum, in units; a mean that is off by less is not called impossible.
_ROUNDING = 1e-9


def sum_before(z: np.ndarray, start: np.ndarray | float) -> np.ndarray:
    """`[n, …]` `start` plus the sum of all earlier rows, for each row of z `[n, …]`."""
    sums = np.empty_like(z)
    if len(z):
        sums[0] = 0.0
        np.cumsum(z[:-1], axis=0, out=sums[1:])
    return start + sums


def remaining_mean(z_before: np.ndarray, units_before: np.ndarray, population: int) -> np.ndarray:
    """The mean of the units that are left, minus that of all, if the sum of all z is zero.

    Args:
        z_before: `[n, …]` Σᵢ<ₜ zᵢ with zᵢ = xᵢ − m.
        units_before: `[n]` t − 1, less than `population`; shaped so that it broadcasts against `z_before`.
        population: N.
    """
    return -z_before / (population - units_before)


def impossible(m: float, z_sum: np.ndarray, units: np.ndarray, population: int) -> tuple[np.ndarray, np.ndarray]:
    """Whether a set with mean m is impossible, since m is too low, and since it is too high; both bool `[n]`.

    The units that are left would have to be below 0, or above 1, on average.

    Args:
        m: the mean of all units, in [0, 1].
        z_sum: `[n]` Σᵢ≤ₜ zᵢ.
        units: `[n]` t.
        population: N.
    """
    remaining = population - units
    remaining_sum = remaining * m - z_sum
    slack = _ROUNDING * population
    return remaining_sum < -slack, remaining_sum > remaining + slack
