"""The chance that a policy of a stated true value passes: gates are simulated with the tests that decide real ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf

import numpy as np

from rl_eval.errors import InputError
from rl_eval.evidence.sequential import SequentialTest


@dataclass(frozen=True)
class Power:
    """What simulated gates decided.

    Attributes:
        gates: how many there were.
        passes, fails: the shares that passed and failed; the rest is INCONCLUSIVE.
        median_units: units after which the gates that decided did so; None if none did.
    """

    gates: int
    passes: float
    fails: float
    median_units: float | None

    @property
    def inconclusive(self) -> float:
        """The share without a decision."""
        return max(0.0, 1.0 - self.passes - self.fails)


def simulate_gates(
    new_test: Callable[[], SequentialTest],
    play: Callable[[SequentialTest, np.random.Generator], None],
    gates: int,
    rng: np.random.Generator,
    on_gate: Callable[[], None] = lambda: None,
) -> Power:
    """Decide many gates.

    Args:
        new_test: the test of one gate, without units.
        play: adds all units that a gate may use, drawn by the generator.
        on_gate: called after each gate.
    """
    decided = {"PASS": 0, "FAIL": 0, "INCONCLUSIVE": 0}
    units = []
    for _ in range(gates):
        test = new_test()
        play(test, rng)
        decided[test.decision] += 1
        if test.decided_at is not None:
            units.append(test.decided_at)
        on_gate()
    median = float(np.median(units)) if units else None
    return Power(gates, decided["PASS"] / gates, decided["FAIL"] / gates, median)


def draw_values(
    rng: np.random.Generator, count: int, mean: float, std: float | None, low: float, high: float, *, exact: bool
) -> np.ndarray:
    """`[n]` values in [low, high] of a stated mean.

    Args:
        std: their standard deviation, as a Beta distribution over the bounds; None: every value is at one of the two
            bounds, which is the largest deviation that there can be.
        exact: whether these are all values of a finite set, whose own mean is the stated one, to one value.

    Raises:
        InputError: the mean is outside the bounds, or no values within them have that deviation.
    """
    width = high - low
    share = (mean - low) / width
    if not 0 <= share <= 1:
        raise InputError(f"a true value of {mean:g} is outside [{low:g}, {high:g}], the range of all values")
    if std is None or std == 0:
        if std == 0:
            return np.full(count, mean)
        if exact:
            return low + width * rng.permutation(np.arange(count) < round(share * count))
        return low + width * (rng.random(count) < share)
    spread = share * (1 - share) * width**2 / std**2 if std > 0 else -inf
    if spread <= 1:
        raise InputError(
            f"a standard deviation of {std:g} is not possible for values in [{low:g}, {high:g}] with a mean of "
            f"{mean:g}: it is at least 0 and below {width * (share * (1 - share)) ** 0.5:.4g}"
        )
    values = low + width * rng.beta(share * (spread - 1), (1 - share) * (spread - 1), count)
    return np.clip(values + mean - values.mean(), low, high) if exact else values


def flag_rates(metric: str, value: float, prevalence: float) -> tuple[float, float]:
    """The shares of the positive and of the negative cases that a policy flags, if the metric has that value.

    For F1 and precision as many negative cases are flagged as positive ones are missed, so both equal recall. The other
    metrics do not depend on the kind of error that they do not count; accuracy is the same on both kinds of cases.

    Raises:
        InputError: there are not enough cases of the other kind.
    """
    if metric == "false_positive_rate":
        return 1.0, value
    if metric == "accuracy":
        return value, 1 - value
    if metric == "recall":
        return value, 0.0
    rate = prevalence * (1 - value) / (1 - prevalence) if prevalence < 1 else inf
    if rate > 1:
        raise InputError(
            f"{metric} of {value:g} is not possible with as many false positives as false negatives where a share of "
            f"{prevalence:g} of the cases is positive: give a larger value"
        )
    return value, rate


def draw_flags(
    rng: np.random.Generator, labels: np.ndarray, positives: float, negatives: float, *, exact: bool
) -> np.ndarray:
    """`[n]` bool, which cases are flagged.

    Args:
        labels: `[n]` bool.
        positives, negatives: the shares of the cases of each label that are flagged.
        exact: whether the shares are met to one case, as on a finite set, or on average.
    """
    scores = rng.random(len(labels))
    if not exact:
        return scores < np.where(labels, positives, negatives)
    flagged = np.zeros(len(labels), bool)
    for label, share in ((True, positives), (False, negatives)):
        rows = np.flatnonzero(labels == label)
        flagged[rows[np.argsort(scores[rows])[: round(share * len(rows))]]] = True
    return flagged
