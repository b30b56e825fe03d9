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
from rl_eval.evidence.result import EvidenceResult, units_needed
from rl_eval.evidence.sequential import SequentialTest


class MeanTest(SequentialTest):
    """The test of a mean. Units are added one or many at a time.

    Two bets start with a capital of 1, one that the mean is above θ and one that it is below (`CapitalProcess`). A
    bet on a false claim multiplies its capital by 1/α at any time with probability ≤ α, so the first one to do so
    decides: P(PASS | mean < θ) ≤ α and P(FAIL | mean > θ) ≤ α whenever one stops to look.

    Values past the bounds are clipped. From that unit on they forbid the decision that this makes unsafe (`bounds`).

    Args:
        theta: the threshold, in [low, high].
        low, high: a value outside forbids a decision.
        alpha: chance of a false PASS, and of a false FAIL.
        direction: what PASS claims of the mean, such as `at_least` theta.
        population: size of the finite set that units are drawn from in random order; None for a source.

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
    ) -> None:
        super().__init__(theta, threshold_to_unit_interval(theta, low, high), alpha, direction, population)
        self.low, self.high = low, high
        self._values: list[float] = []
        self._violations: dict[Side, tuple[int, str]] = {}  # side -> the first unit past that bound, and the message

    def extend(self, xs: np.ndarray) -> EvidenceResult:
        """Add `[n]` units in the order of their seeds; those after the decision are ignored.

        Raises:
            InputError: there are no units, one is not finite, or the finite set holds fewer.
        """
        xs = finite_vector(xs)
        if self._final is None:
            start = len(self._values)
            self._note_violation(
                "lower", xs < self.low, lambda i, d: bound_message("lower", self.low, xs[i], start + i, d)
            )
            self._note_violation(
                "upper", xs > self.high, lambda i, d: bound_message("upper", self.high, xs[i], start + i, d)
            )
        return self._append(xs)

    def _note_violation(self, side: Side, beyond: np.ndarray, message: Callable[[int, str], str]) -> None:
        """Remember the first of the next units that is past a bound."""
        if beyond.any():
            index = int(beyond.argmax())
            unit = len(self._values) + index
            if side not in self._violations or unit < self._violations[side][0]:
                self._violations[side] = unit, message(index, forbidden_decision(side, self.direction))

    def _append(self, xs: np.ndarray) -> EvidenceResult:
        if self._final is None:
            self._values.extend(xs.tolist())
            self._advance(len(xs))
        return self.result

    def _unit_values(self, start: int, stop: int) -> np.ndarray:
        return to_unit_interval(np.array(self._values[start:stop]), self.low, self.high)[:, None]

    def _metric(self, count: int) -> float | None:
        return float(np.mean(self._values[:count])) if count else None

    def _defined(self, start: int, stop: int) -> np.ndarray:
        return np.ones(stop - start, bool)

    def _from_unit_interval(self, value: float) -> float:
        return self.low + value * (self.high - self.low)

    def _forbidden(self, start: int, stop: int) -> dict[Literal["PASS", "FAIL"], np.ndarray]:
        forbidden = super()._forbidden(start, stop)
        for side, (first, _) in self._violations.items():
            decision = forbidden_decision(side, self.direction)
            forbidden[decision] = forbidden[decision] | (np.arange(start, stop) >= first)
        return forbidden

    def _violated(self, count: int) -> dict[Side, str]:
        return {side: message for side, (first, message) in self._violations.items() if first < count}

    def _more_units(self) -> int | None:
        values = np.clip(self._values[: self.units], self.low, self.high)
        estimate = float(values.mean())
        log_capital = self._sequence.log_capital(above=estimate > self.theta)
        return units_needed(estimate, float(values.std()), self.theta, self.low, self.high, self.alpha, log_capital)
