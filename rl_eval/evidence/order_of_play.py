"""Did the policy stay the same while it was judged? Tests on the values of units in the order of play."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# The chance that an unchanged policy is called changed. It can only turn PASS into INCONCLUSIVE.
CHANGE_ALPHA = 0.001
# The chance that each of the two warnings is wrong about independent units.
WARNING_ALPHA = 0.001
_PERMUTATIONS = 1_999
_FEWEST = 60  # units, below which thirds say nothing


@dataclass(frozen=True)
class Change:
    """What the order of play shows.

    Attributes:
        first, last: the means of the first and of the last third.
        changed: whether they differ by more than the order of unchanged units would explain.
        correlation: of each unit with the next, where it is too large for independent units; else None.
    """

    first: float | None = None
    last: float | None = None
    changed: bool = False
    correlation: float | None = None


def change_in_play(values: np.ndarray, seed: int) -> Change:
    """Compare the first with the last third of play, and each unit with the next.

    The units were played in random order, so any order of them is equally likely for a policy that does not change.
    The permutation p of the difference of the two means is exact; p ≤ .001 counts as a change. A correlation of
    neighbours above its .001 quantile, from the same permutations, says that units are not independent.

    Args:
        values: `[n]` one a unit on which the metric is defined.
        seed: of the permutations.
    """
    count = len(values)
    third = count // 3
    if count < _FEWEST or np.ptp(values) == 0:
        return Change()
    first, last = float(values[:third].mean()), float(values[-third:].mean())
    deviations = values - values.mean()
    correlation = float(deviations[:-1] @ deviations[1:] / (deviations @ deviations))
    # a normal approximation says at once where there is nothing to find; the exact test follows where there may be
    spread = float(values.std()) * np.sqrt(2 / third)
    difference = abs(last - first)
    changed = difference > 2.5 * spread and _permutation_p(values, third, difference, seed) <= CHANGE_ALPHA
    correlated = correlation > 3.09 / np.sqrt(count) + 1 / count
    return Change(first, last, changed, correlation if correlated else None)


def _permutation_p(values: np.ndarray, third: int, difference: float, seed: int) -> float:
    rng = np.random.default_rng(seed)
    larger = 0
    for _ in range(_PERMUTATIONS):
        order = rng.permutation(values)
        larger += abs(order[-third:].mean() - order[:third].mean()) >= difference - 1e-12
    return (1 + larger) / (1 + _PERMUTATIONS)
