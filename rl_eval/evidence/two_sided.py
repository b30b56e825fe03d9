"""Both sides of every candidate at once: the interval at any time, and when it leaves the threshold behind."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from rl_eval.errors import InputError
from rl_eval.evidence.finite import conditional_means, impossible
from rl_eval.evidence.wealth import Wealth

GRID = 1000
# Rows a step, so that a `[rows, candidates]` array stays in the cache.
_ROWS = 128


def check_alpha(alpha: float) -> None:
    """The error probability makes sense.

    Raises:
        InputError: it is not inside (0, ½).
    """
    if not 0.0 < alpha < 0.5:
        raise InputError(f"alpha={alpha:g} is not an error probability: give a number above 0 and below 0.5")


class Ends(NamedTuple):
    """After each of n units, each `[n]`.

    Attributes:
        lower, upper: the interval in [0, 1].
        above, below: whether the mean is above or below the threshold.
        up, down: log K⁺ and log K⁻ at the threshold.
    """

    lower: np.ndarray
    upper: np.ndarray
    above: np.ndarray
    below: np.ndarray
    up: np.ndarray
    down: np.ndarray


class TwoSided:
    """The values in [0, 1] that the evidence has not ruled out, after every unit.

    Candidates m₀ < m₁ < … are each tested from both sides (`Wealth`): "the mean is at most m" is rejected for good once
    K⁺(m) ≥ 1/α, "at least m" once K⁻(m) ≥ 1/α. The interval goes from the last candidate up to which all are rejected
    as too low, to the first one from which on all are rejected as too high.

    It covers the true mean μ at all times together with probability ≥ 1−2α, also for μ between candidates: if its lower
    end ever passes μ, the smallest candidate ≥ μ has been rejected as too low, of which the probability is ≤ α; the
    upper end likewise. Since rejections are for good, intervals are nested.

    The threshold θ is one of the candidates, and "above" is claimed when the lower end reaches θ: then K⁺(θ) ≥ 1/α,
    and an interval that still holds values below θ is never shown beside a PASS.

    Args:
        theta: in [0, 1].
        population: size of the finite set that units are drawn from without replacement; None for a source.
        grid: equally spaced candidates, less one.
    """

    def __init__(self, theta: float, alpha: float, population: int | None = None, grid: int = GRID) -> None:
        check_alpha(alpha)
        self.candidates = np.union1d(np.linspace(0.0, 1.0, grid + 1), theta)
        self.population = population
        self.wealth = Wealth(len(self.candidates))
        self._theta = int(np.searchsorted(self.candidates, theta))
        self._bar = np.log(1 / alpha)
        self._too_low = np.zeros(len(self.candidates), bool)
        self._too_high = np.zeros(len(self.candidates), bool)

    @property
    def seen(self) -> int:
        """Units so far."""
        return self.wealth.seen

    def advance(self, x: np.ndarray) -> Ends:
        """Take n further units in.

        Args:
            x: `[n, 1]` in [0, 1], or `[n, K]` where units depend on the candidate.
        """
        too_low, too_high, up, down = self._reject(x)
        too_low = np.logical_or.accumulate(too_low, axis=0) | self._too_low
        too_high = np.logical_or.accumulate(too_high, axis=0) | self._too_high
        if len(x):
            self._too_low, self._too_high = too_low[-1], too_high[-1]
        from_below, from_above = _unbroken(too_low), _unbroken(too_high[:, ::-1])
        last = len(self.candidates) - 1
        return Ends(
            lower=self.candidates[np.maximum(from_below - 1, 0)],
            upper=self.candidates[np.minimum(last - from_above + 1, last)],
            above=from_below > self._theta,
            below=from_above > last - self._theta,
            up=up[:, self._theta],
            down=down[:, self._theta],
        )

    def evidence(self, above: bool) -> float:
        """log K of one side at the threshold."""
        return float((self.wealth.up if above else self.wealth.down)[self._theta])

    def _reject(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Whether each candidate is rejected as too low and as too high, and both log-wealths, each `[n, K]`."""
        if self.population is None:
            up, down = self.wealth.advance(x, self.candidates[None])
            return up >= self._bar, down >= self._bar, up, down
        sums = self.wealth.sums_before(x)
        before = self.seen + np.arange(len(x))[:, None]
        means = conditional_means(self.candidates, sums, before, self.population)
        low, high = impossible(self.candidates, sums + x, before + 1, self.population)
        up, down = self.wealth.advance(x, means)
        return (up >= self._bar) | low, (down >= self._bar) | high, up, down


def chunks(count: int) -> Iterator[slice]:
    """Slices of so many rows that the arrays of one stay in the cache."""
    for start in range(0, count, _ROWS):
        yield slice(start, min(start + _ROWS, count))


def _unbroken(rejected: np.ndarray) -> np.ndarray:
    """`[n]` how many candidates from the first on are rejected without a gap."""
    return np.where(rejected.all(axis=1), rejected.shape[1], rejected.argmin(axis=1))
