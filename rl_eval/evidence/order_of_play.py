"""Did the policy stay the same while it was judged? Tests on the values of units in the order of play."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

# The chance that an unchanged policy is called changed. It can only turn PASS into INCONCLUSIVE.
CHANGE_ALPHA = 0.001
# The chance that independent units are called correlated, which is a warning.
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
    So the permutation p of the difference of the two means is exact, and so is that of the correlation of neighbours;
    p ≤ .001 counts as a change, or as units that are not independent.

    Args:
        values: `[n]` one per unit on which the metric is defined.
        seed: of the permutations.
    """
    count = len(values)
    third = count // 3
    if count < _FEWEST or np.ptp(values) == 0:
        return Change()
    first, last = float(values[:third].mean()), float(values[-third:].mean())
    # a normal approximation says at once where there is nothing to find; the exact test follows where there may be
    spread = float(values.std()) * np.sqrt(2 / third)

    def difference(order: np.ndarray) -> float:
        return abs(float(order[-third:].mean() - order[:third].mean()))

    changed = bool(difference(values) > 2.5 * spread) and _is_rare(values, difference, seed, CHANGE_ALPHA)
    deviations = values - values.mean()
    square = float(deviations @ deviations)

    def correlation(order: np.ndarray) -> float:
        return float(order[:-1] @ order[1:]) / square

    correlated = correlation(deviations) > 2.5 / np.sqrt(count) and _is_rare(
        deviations, correlation, seed + 1, WARNING_ALPHA
    )
    return Change(first, last, changed, correlation(deviations) if correlated else None)


def _is_rare(values: np.ndarray, statistic: Callable[[np.ndarray], float], seed: int, alpha: float) -> bool:
    """Whether the permutation p of a statistic of the order is at most alpha."""
    rng = np.random.default_rng(seed)
    observed = statistic(values) - 1e-12
    others = int(alpha * (1 + _PERMUTATIONS)) - 1
    for _ in range(_PERMUTATIONS):
        if statistic(rng.permutation(values)) >= observed:
            others -= 1
            if others < 0:
                return False
    return True
