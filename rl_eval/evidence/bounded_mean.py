"""Is the mean of a bounded variable at least θ? A two-sided test that decides as soon as the evidence suffices."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np

from rl_eval.evidence.bounds import (
    Side,
    bound_message,
    finite_vector,
    forbidden_decision,
    threshold_to_unit_interval,
    to_unit_interval,
)
from rl_eval.evidence.direction import Direction
from rl_eval.evidence.sequential import ShareTest


class MeanTest(ShareTest):
    """The test of a mean. Units are added one or many at a time.

    The variable on the scale [0, 1] is the hit of a unit with one informative case (`ShareTest`). A unit on which the
    metric is undefined is NaN and has none.

    Values past the bounds are clipped. They forbid the decision that this makes unsafe (`bounds`).

    Args:
        theta: the threshold, in [low, high].
        low, high: a value outside forbids a decision.
        alpha: chance of a false PASS, and of a false FAIL.
        direction: what PASS claims of the mean, such as `at_least` theta.
        population: size of the finite set that units are drawn from in random order; None for a source.
        limit: how many units there will be at most; None if that is unknown.

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
        limit: int | None = None,
    ) -> None:
        share = threshold_to_unit_interval(theta, low, high)
        super().__init__(theta, share, 1.0, alpha, direction, population, limit)
        self.low, self.high = low, high
        self._values = np.zeros(0)
        self._violations: dict[Side, tuple[int, str]] = {}  # side -> the first unit past that bound, and the message

    def extend(self, xs: np.ndarray) -> None:
        """Add `[n]` units in the order of their seeds; NaN is a unit on which the metric is undefined.

        Raises:
            InputError: there are no units, one is infinite, or the finite set holds fewer.
        """
        xs = finite_vector(xs, undefined=True)
        start = self.units
        self._note_violation("lower", xs < self.low, lambda i, d: bound_message("lower", self.low, xs[i], start + i, d))
        self._note_violation(
            "upper", xs > self.high, lambda i, d: bound_message("upper", self.high, xs[i], start + i, d)
        )
        self._append(xs)

    def _note_violation(self, side: Side, beyond: np.ndarray, message: Callable[[int, str], str]) -> None:
        """Remember the first of the next units that is past a bound."""
        if beyond.any():
            index = int(beyond.argmax())
            unit = self.units + index
            if side not in self._violations or unit < self._violations[side][0]:
                self._violations[side] = unit, message(index, forbidden_decision(side, self.direction))

    def _append(self, xs: np.ndarray) -> None:
        self._values = np.concatenate([self._values, xs])
        defined = ~np.isnan(xs)
        hits = np.where(defined, to_unit_interval(np.where(defined, xs, self.low), self.low, self.high), 0.0)
        self._add(hits, defined.astype(np.float64))

    def _metric(self, count: int) -> float | None:
        values = self._values[:count]
        values = values[~np.isnan(values)]
        return float(values.mean()) if len(values) else None

    def _defined(self, start: int, stop: int) -> np.ndarray:
        return np.cumsum(self._informative[:stop])[start:] > 0

    def _value(self, share: float) -> float:
        return self.low + share * (self.high - self.low)

    def _forbidden(self, start: int, stop: int) -> dict[Literal["PASS", "FAIL"], np.ndarray]:
        forbidden = super()._forbidden(start, stop)
        for side, (first, _) in self._violations.items():
            decision = forbidden_decision(side, self.direction)
            forbidden[decision] = forbidden[decision] | (np.arange(start, stop) >= first)
        return forbidden

    def _violated(self) -> dict[Side, str]:
        return {side: message for side, (_, message) in self._violations.items()}


class CaseMeanTest(ShareTest):
    """The mean over all cases, where the unit is an episode of several cases that depend on each other.

    An episode's hits are the sum of its values on the scale [0, 1], its informative cases their number. So the metric
    is the plain mean of all cases, and long episodes count more.

    Args:
        theta, low, high, alpha, direction, population, limit: as of `MeanTest`.
        longest: the most cases that an episode can hold.
    """

    def __init__(
        self,
        theta: float,
        low: float,
        high: float,
        longest: int,
        alpha: float = 0.05,
        direction: Direction = "at_least",
        population: int | None = None,
        limit: int | None = None,
    ) -> None:
        share = threshold_to_unit_interval(theta, low, high)
        super().__init__(theta, share, float(longest), alpha, direction, population, limit)
        self.low, self.high = low, high

    def extend(self, sums: np.ndarray, cases: np.ndarray) -> None:
        """Add n episodes.

        Args:
            sums: `[n]` the sum of the values of each episode's cases; the values are within the bounds.
            cases: `[n]` their number.
        """
        self._add((sums - self.low * cases) / (self.high - self.low), cases.astype(np.float64))

    def _metric(self, count: int) -> float | None:
        cases = self._informative[:count].sum()
        return self._value(float(self._hits[:count].sum() / cases)) if cases else None

    def _defined(self, start: int, stop: int) -> np.ndarray:
        return np.cumsum(self._informative[:stop])[start:] > 0

    def _value(self, share: float) -> float:
        return self.low + share * (self.high - self.low)
