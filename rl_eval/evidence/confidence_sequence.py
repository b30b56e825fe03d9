"""An interval for a mean that is valid at every time, and when it leaves the threshold."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from rl_eval.errors import InputError
from rl_eval.evidence.capital_process import CapitalProcess
from rl_eval.evidence.finite_population import conditional_means, impossible_means

GRID = 1000
# Rows of one step, so that a `[rows, candidates]` array stays in the cache.
_CHUNK_ROWS = 128


def check_alpha(alpha: float) -> None:
    """The error probability makes sense.

    Raises:
        InputError: it is not inside (0, ½).
    """
    if not 0.0 < alpha < 0.5:
        raise InputError(f"alpha={alpha:g} is not an error probability: give a number above 0 and below 0.5")


class SequenceSteps(NamedTuple):
    """The state after each of n units; every array is `[n]`.

    Attributes:
        lower, upper: the interval in [0, 1].
        above, below: whether the mean is shown to be above or below the threshold.
        log_above, log_below: log K⁺ and log K⁻ at the threshold.
    """

    lower: np.ndarray
    upper: np.ndarray
    above: np.ndarray
    below: np.ndarray
    log_above: np.ndarray
    log_below: np.ndarray


class ConfidenceSequence:
    """The means in [0, 1] that the evidence has not ruled out, after every unit.

    Candidates m₀ < m₁ < … are each tested from both sides (`CapitalProcess`): "the mean is at most m" is rejected for
    good once K⁺(m) ≥ 1/α, "at least m" once K⁻(m) ≥ 1/α. The lower end of the interval is the last candidate up to
    which all are rejected as too low. The upper end is the first candidate from which all are rejected as too high.

    The interval covers the true mean μ at all times together with probability ≥ 1−2α, also for μ between candidates: if
    the lower end ever passes μ, the smallest candidate ≥ μ has been rejected as too low, and the probability of that is
    ≤ α. The same holds for the upper end. Since rejections are final, intervals are nested.

    The threshold θ is one of the candidates, and "above" is claimed when the lower end reaches θ: then K⁺(θ) ≥ 1/α,
    and a PASS is never shown with an interval that still holds values below θ.

    Args:
        theta: in [0, 1].
        population: size of the finite set that units are drawn from without replacement; None for a source.
        grid: the candidates divide [0, 1] into this many equal parts.
    """

    def __init__(self, theta: float, alpha: float, population: int | None = None, grid: int = GRID) -> None:
        check_alpha(alpha)
        self.candidates = np.union1d(np.linspace(0.0, 1.0, grid + 1), theta)
        self.population = population
        self.capital = CapitalProcess(len(self.candidates))
        self._theta_index = int(np.searchsorted(self.candidates, theta))
        self._log_bar = np.log(1 / alpha)
        self._too_low = np.zeros(len(self.candidates), bool)
        self._too_high = np.zeros(len(self.candidates), bool)

    @property
    def units(self) -> int:
        """How many units were added."""
        return self.capital.units

    def advance(self, x: np.ndarray) -> SequenceSteps:
        """Add n units.

        Args:
            x: `[n, 1]` in [0, 1], or `[n, K]` where units depend on the candidate.
        """
        too_low, too_high, log_above, log_below = self._reject(x)
        too_low = np.logical_or.accumulate(too_low, axis=0) | self._too_low
        too_high = np.logical_or.accumulate(too_high, axis=0) | self._too_high
        if len(x):
            self._too_low, self._too_high = too_low[-1], too_high[-1]
        from_below, from_above = _count_leading(too_low), _count_leading(too_high[:, ::-1])
        last = len(self.candidates) - 1
        return SequenceSteps(
            lower=self.candidates[np.maximum(from_below - 1, 0)],
            upper=self.candidates[np.minimum(last - from_above + 1, last)],
            above=from_below > self._theta_index,
            below=from_above > last - self._theta_index,
            log_above=log_above[:, self._theta_index],
            log_below=log_below[:, self._theta_index],
        )

    def log_capital(self, above: bool) -> float:
        """log K of one side at the threshold."""
        return float((self.capital.log_above if above else self.capital.log_below)[self._theta_index])

    def _reject(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Whether a candidate is rejected as too low and as too high, and log K⁺ and log K⁻; all `[n, K]`."""
        if self.population is None:
            log_above, log_below = self.capital.advance(x, self.candidates[None])
            return log_above >= self._log_bar, log_below >= self._log_bar, log_above, log_below
        sums = self.capital.sums_before(x)
        before = self.units + np.arange(len(x))[:, None]
        means = conditional_means(self.candidates, sums, before, self.population)
        too_low, too_high = impossible_means(self.candidates, sums + x, before + 1, self.population)
        log_above, log_below = self.capital.advance(x, means)
        return (log_above >= self._log_bar) | too_low, (log_below >= self._log_bar) | too_high, log_above, log_below


def chunk_slices(count: int) -> Iterator[slice]:
    """Slices of so many rows that the arrays of one slice stay in the cache."""
    for start in range(0, count, _CHUNK_ROWS):
        yield slice(start, min(start + _CHUNK_ROWS, count))


def _count_leading(rejected: np.ndarray) -> np.ndarray:
    """`[n]` how many candidates from the first on are rejected without a gap."""
    return np.where(rejected.all(axis=1), rejected.shape[1], rejected.argmin(axis=1))
