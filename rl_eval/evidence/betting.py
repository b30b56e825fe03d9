"""Is the mean of a bounded variable at least θ? Two-sided, decided as soon as the evidence suffices."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from rl_eval.errors import InputError
from rl_eval.evidence.bounds import (
    check_bounds,
    checked,
    forbidden_by,
    past,
    scaled,
    scaled_threshold,
)
from rl_eval.evidence.decision import Decision, units_needed
from rl_eval.evidence.direction import Direction
from rl_eval.evidence.sequential import Sequential
from rl_eval.evidence.two_sided import GRID, TwoSided, chunks


class Betting(Sequential):
    """The test, fed one unit or many at a time.

    Two gamblers start with 1 and bet on each unit, one that the mean is above θ, one that it is below (`Wealth`). A
    gambler whose claim is false multiplies the stake by 1/α at any time with probability ≤ α, so the first one to do so
    decides: P(PASS | mean < θ) ≤ α and P(FAIL | mean > θ) ≤ α whenever one stops to look.

    Values past the bounds are clipped, and forbid what they make unsafe from that unit on (`clip_to_bounds`).

    Args:
        theta: the threshold, in [low, high].
        low, high: no value is outside, or it forbids a decision.
        alpha: chance of a false PASS, and of a false FAIL.
        direction: what PASS claims of the mean, such as `at_least` theta.
        population: size of the finite set that units are drawn from in random order; None for a source.
        grid: resolution of the interval, in equal parts of [low, high].

    Raises:
        InputError: the threshold is outside the bounds, or an argument makes no sense.
    """

    def __init__(
        self,
        theta: float,
        low: float = 0.0,
        high: float = 1.0,
        alpha: float = 0.05,
        direction: Direction = "at_least",
        population: int | None = None,
        grid: int = GRID,
    ) -> None:
        super().__init__(theta, scaled_threshold(theta, low, high), alpha, direction, population, grid)
        self.low, self.high = low, high
        self._values: list[float] = []
        self._past: dict[str, tuple[int, str]] = {}  # "lower", "upper" -> the first unit beyond it, and what to say

    def update(self, x: float) -> Decision:
        """Take in one unit.

        Raises:
            InputError: it is not finite, or the finite set holds no more units.
        """
        return self.extend(np.array([x]))

    def extend(self, xs: np.ndarray) -> Decision:
        """Take in `[n]` units in the order of their seeds; those after the decision are ignored.

        Raises:
            InputError: no units, one is not finite, or the finite set holds fewer.
        """
        xs = checked(xs)
        if self._latched is None:
            seen = len(self._values)
            self._note("lower", xs < self.low, lambda i, d: past("lower", self.low, xs[i], seen + i, d))
            self._note("upper", xs > self.high, lambda i, d: past("upper", self.high, xs[i], seen + i, d))
        return self._take(xs)

    def _note(self, side: str, beyond: np.ndarray, said: Callable[[int, str], str]) -> None:
        """Remember the first of the next units that is past a bound."""
        if beyond.any():
            at = int(beyond.argmax())
            unit = len(self._values) + at
            if side not in self._past or unit < self._past[side][0]:
                self._past[side] = unit, said(at, forbidden_by(side, self.direction))

    def _take(self, xs: np.ndarray) -> Decision:
        if self._latched is None:
            self._values.extend(xs.tolist())
            self._advance(len(xs))
        return self.decision

    def _scaled(self, start: int, stop: int) -> np.ndarray:
        return scaled(np.array(self._values[start:stop]), self.low, self.high)[:, None]

    def _metric(self, count: int) -> float | None:
        return float(np.mean(self._values[:count])) if count else None

    def _defined(self, start: int, stop: int) -> np.ndarray:
        return np.ones(stop - start, bool)

    def _unscaled(self, value: float) -> float:
        return self.low + value * (self.high - self.low)

    def _forbidden(self, start: int, stop: int) -> dict[str, np.ndarray]:
        forbidden = super()._forbidden(start, stop)
        for side, (first, _) in self._past.items():
            decision = forbidden_by(side, self.direction)
            forbidden[decision] = forbidden[decision] | (np.arange(start, stop) >= first)
        return forbidden

    def _beyond(self, count: int) -> tuple[set[str], frozenset[str], str]:
        seen = {side: said for side, (first, said) in self._past.items() if first < count}
        return set(seen), frozenset(forbidden_by(side, self.direction) for side in seen), "; ".join(seen.values())

    def _more(self) -> int | None:
        values = np.clip(self._values[: self.units], self.low, self.high)
        estimate = float(values.mean())
        evidence = self._sides.evidence(above=estimate > self.theta)
        return units_needed(estimate, float(values.std()), self.theta, self.low, self.high, self.alpha, evidence)


def decide(
    xs: np.ndarray,
    theta: float,
    low: float = 0.0,
    high: float = 1.0,
    alpha: float = 0.05,
    direction: Direction = "at_least",
    population: int | None = None,
) -> Decision:
    """`Betting` on `[T]` units that are all there already, in the order of their seeds.

    Raises:
        InputError: as `Betting`, or there are no units.
    """
    return Betting(theta, low, high, alpha, direction, population).extend(xs)


def confidence_sequence(
    xs: np.ndarray,
    low: float = 0.0,
    high: float = 1.0,
    alpha: float = 0.05,
    population: int | None = None,
    grid: int = GRID,
) -> np.ndarray:
    """`[T, 2]` the interval after every unit; all of them hold the true mean together with probability ≥ 1−2α.

    Args:
        xs: `[T]` within the bounds.
        population, grid: as of `Betting`.

    Raises:
        InputError: there are no units, or one is not finite or past the bounds.
    """
    xs = checked(xs)
    check_bounds(low, high)
    if xs.min() < low or xs.max() > high:
        raise InputError(f"a unit is not within [{low:g}, {high:g}]: clip the units first")
    sides = TwoSided(0.5, alpha, population, grid)
    parts = [sides.advance(scaled(xs[rows], low, high)[:, None]) for rows in chunks(len(xs))]
    ends = np.column_stack([np.concatenate([p.lower for p in parts]), np.concatenate([p.upper for p in parts])])
    ends = low + ends * (high - low)
    if len(xs) == population:
        ends[-1] = xs.mean()
    return ends
