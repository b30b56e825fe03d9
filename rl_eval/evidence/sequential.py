"""A sequential test: units are added until the evidence decides a criterion."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Literal

import numpy as np

from rl_eval.errors import InputError
from rl_eval.evidence.bounds import Side, forbidden_decision
from rl_eval.evidence.confidence_sequence import ConfidenceSequence, chunk_slices
from rl_eval.evidence.direction import Direction, check_direction, meets, wants_above
from rl_eval.evidence.history import EvidenceHistory, rounded, sample_units
from rl_eval.evidence.result import EvidenceResult, Verdict


class SequentialTest(ABC):
    """Base class of the tests of a mean and of a ratio; a decision is final once it is made.

    Later units are ignored, so the estimate and the interval stay those of that moment. Where all units of a finite
    set were added, the plain metric is the true value and decides.

    Args:
        theta: the threshold.
        unit_theta: the threshold on the scale [0, 1] of `_unit_values`.
        alpha: chance of a false PASS, and of a false FAIL.
        direction: what PASS claims of the metric, such as `at_least` the threshold.
        population: size of the finite set; None for a source that never ends.
    """

    def __init__(
        self, theta: float, unit_theta: float, alpha: float, direction: Direction, population: int | None
    ) -> None:
        check_direction(direction)
        if population is not None and population < 1:
            raise InputError(f"a set of {population} units cannot be judged: it needs at least one")
        self.theta, self.alpha, self.direction, self.population = theta, alpha, direction, population
        self._sequence = ConfidenceSequence(unit_theta, alpha, population)
        self._interval = (0.0, 1.0)
        self._final: EvidenceResult | None = None
        self._steps: list[np.ndarray] = []  # [4, n] arrays: lower, upper, log K⁺, log K⁻

    @property
    def units(self) -> int:
        """How many units were added up to the decision."""
        return self._final.stopped_at if self._final else self._sequence.units

    @property
    def result(self) -> EvidenceResult:
        """The result so far."""
        return self._final or self._describe("INCONCLUSIVE", self.units, *self._interval)

    @property
    def history(self) -> EvidenceHistory | None:
        """How the evidence grew up to the decision; None before the first unit."""
        if not self.units:
            return None
        units = sample_units(self.units)
        lower, upper, log_above, log_below = np.concatenate(self._steps, axis=1)[:, units - 1]
        for_pass, for_fail = (log_above, log_below) if wants_above(self.direction) else (log_below, log_above)
        return EvidenceHistory(
            units=tuple(units.tolist()),
            lower=rounded(np.array([self._from_unit_interval(value) for value in lower])),
            upper=rounded(np.array([self._from_unit_interval(value) for value in upper])),
            for_pass=rounded(for_pass),
            for_fail=rounded(for_fail),
        )

    @abstractmethod
    def _unit_values(self, start: int, stop: int) -> np.ndarray:
        """`[n, 1]` or `[n, K]` the units as numbers in [0, 1]."""

    @abstractmethod
    def _metric(self, count: int) -> float | None:
        """The plain metric of the first units; None while it is undefined."""

    @abstractmethod
    def _defined(self, start: int, stop: int) -> np.ndarray:
        """`[n]` whether the metric is defined after each of the units."""

    @abstractmethod
    def _from_unit_interval(self, value: float) -> float:
        """A value in [0, 1] as a value of the metric."""

    @abstractmethod
    def _more_units(self) -> int | None:
        """About how many further units would decide."""

    def _forbidden(self, start: int, stop: int) -> dict[Literal["PASS", "FAIL"], np.ndarray]:
        """By decision, `[n]` whether a value past the bounds forbids it after each of the units."""
        nothing = np.zeros(stop - start, bool)
        return {"PASS": nothing, "FAIL": nothing}

    def _violated(self, count: int) -> dict[Side, str]:
        """The bounds that the first units passed, and one sentence about each."""
        return {}

    def _advance(self, count: int) -> EvidenceResult:
        """Process the next units, which the subclass has stored."""
        start = self._sequence.units
        if self.population is not None and start + count > self.population:
            raise InputError(
                f"{start + count} units came out of a set of {self.population}: give the size of the whole set"
            )
        for rows in chunk_slices(count):
            if self._final is None:
                self._process_chunk(start + rows.start, start + rows.stop)
        return self.result

    def _process_chunk(self, start: int, stop: int) -> None:
        steps = self._sequence.advance(self._unit_values(start, stop))
        self._steps.append(np.stack([steps.lower, steps.upper, steps.log_above, steps.log_below]))
        defined, forbidden = self._defined(start, stop), self._forbidden(start, stop)
        if stop == self.population:
            defined[-1] = False  # after the last unit of a set the plain metric decides
        passes, fails = (steps.above, steps.below) if wants_above(self.direction) else (steps.below, steps.above)
        passes, fails = passes & defined & ~forbidden["PASS"], fails & defined & ~forbidden["FAIL"]
        decided = passes | fails
        self._interval = float(steps.lower[-1]), float(steps.upper[-1])
        if decided.any():
            index = int(decided.argmax())
            verdict: Verdict = "FAIL" if fails[index] else "PASS"
            interval = float(steps.lower[index]), float(steps.upper[index])
            self._final = self._describe(verdict, start + index + 1, *interval)
        elif stop == self.population:
            self._decide_exactly(stop)

    def _decide_exactly(self, count: int) -> None:
        exact = self._metric(count)
        if exact is None:
            return
        verdict: Verdict = "PASS" if meets(exact, self.theta, self.direction) else "FAIL"
        self._final = EvidenceResult(verdict, count, exact, (exact, exact))

    def _describe(self, verdict: Verdict, count: int, lower: float, upper: float) -> EvidenceResult:
        violated = self._violated(count)
        forbids = frozenset(forbidden_decision(side, self.direction) for side in violated)
        interval = (
            -np.inf if "lower" in violated else self._from_unit_interval(lower),
            np.inf if "upper" in violated else self._from_unit_interval(upper),
        )
        more = self._more_units() if verdict == "INCONCLUSIVE" and count and len(forbids) < 2 else None
        if more is not None and self.population is not None:
            more = min(more, self.population - count)
        return EvidenceResult(
            verdict, count, self._metric(count), interval, more, forbids, "; ".join(violated.values())
        )
