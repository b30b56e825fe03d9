"""A criterion that units are fed to until the evidence decides it."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

from rl_eval.errors import InputError
from rl_eval.evidence.decision import Decision, Verdict
from rl_eval.evidence.direction import Direction, check_direction, meets, wants_above
from rl_eval.evidence.path import Path, moments, rounded
from rl_eval.evidence.two_sided import TwoSided, chunks


class Sequential(ABC):
    """What the tests of a mean and of a ratio share: a decision latches at the unit that brought it.

    Units after that one are ignored, so the estimate and the interval stay those of that moment. Where all of a finite
    set has been seen, the plain metric is the truth and decides.

    Args:
        theta: the threshold.
        unit_theta: the same on the scale [0, 1] of `_scaled`.
        alpha: chance of a false PASS, and of a false FAIL.
        direction: what PASS claims of the metric, such as `at_least` the threshold.
        population: size of the finite set; None for a source that never ends.
        grid: resolution of the interval.
    """

    def __init__(
        self, theta: float, unit_theta: float, alpha: float, direction: Direction, population: int | None, grid: int
    ) -> None:
        check_direction(direction)
        if population is not None and population < 1:
            raise InputError(f"a set of {population} units cannot be judged: it needs at least one")
        self.theta, self.alpha, self.direction, self.population = theta, alpha, direction, population
        self._sides = TwoSided(unit_theta, alpha, population, grid)
        self._ends = (0.0, 1.0)
        self._latched: Decision | None = None
        self._trace: list[np.ndarray] = []  # [4, n] each: lower, upper, log K⁺, log K⁻

    @property
    def units(self) -> int:
        """Units taken in so far, without those that came after the decision."""
        return self._latched.stopped_at if self._latched else self._sides.seen

    @property
    def decision(self) -> Decision:
        """The decision so far."""
        return self._latched or self._describe("INCONCLUSIVE", self.units, *self._ends)

    @property
    def path(self) -> Path | None:
        """How the evidence grew up to the decision; None before the first unit."""
        if not self.units:
            return None
        at = moments(self.units)
        lower, upper, up, down = np.concatenate(self._trace, axis=1)[:, at - 1]
        ends = (rounded(np.array([self._unscaled(value) for value in each])) for each in (lower, upper))
        wealth = (up, down) if wants_above(self.direction) else (down, up)
        return Path(tuple(at.tolist()), *ends, *(rounded(each) for each in wealth))

    @abstractmethod
    def _scaled(self, start: int, stop: int) -> np.ndarray:
        """`[n, 1]` or `[n, K]` the units as numbers in [0, 1]."""

    @abstractmethod
    def _metric(self, count: int) -> float | None:
        """The plain metric of the first units; None while it is undefined."""

    @abstractmethod
    def _defined(self, start: int, stop: int) -> np.ndarray:
        """`[n]` whether the metric is defined after each of the units."""

    @abstractmethod
    def _unscaled(self, value: float) -> float:
        """A value in [0, 1] as one of the metric."""

    @abstractmethod
    def _more(self) -> int | None:
        """About how many further units would decide."""

    def _forbidden(self, start: int, stop: int) -> dict[str, np.ndarray]:
        """By decision, `[n]` whether a value past the bounds forbids it after each of the units."""
        nothing = np.zeros(stop - start, bool)
        return {"PASS": nothing, "FAIL": nothing}

    def _beyond(self, count: int) -> tuple[set[str], frozenset[str], str]:
        """Of the first units: the bounds passed ("lower", "upper"), the decisions that forbids, and why."""
        return set(), frozenset(), ""

    def _advance(self, count: int) -> Decision:
        """Take in the next units, which the subclass has stored."""
        start = self._sides.seen
        if self.population is not None and start + count > self.population:
            raise InputError(
                f"{start + count} units came out of a set of {self.population}: give the size of the whole set"
            )
        for rows in chunks(count):
            if self._latched is None:
                self._chunk(start + rows.start, start + rows.stop)
        return self.decision

    def _chunk(self, start: int, stop: int) -> None:
        ends = self._sides.advance(self._scaled(start, stop))
        self._trace.append(np.stack([ends.lower, ends.upper, ends.up, ends.down]))
        defined, forbidden = self._defined(start, stop), self._forbidden(start, stop)
        if stop == self.population:
            defined[-1] = False  # the last unit of a set leaves no doubt for evidence to settle
        yes, no = (ends.above, ends.below) if wants_above(self.direction) else (ends.below, ends.above)
        decided = {"FAIL": no & defined & ~forbidden["FAIL"], "PASS": yes & defined & ~forbidden["PASS"]}
        either = decided["FAIL"] | decided["PASS"]
        self._ends = float(ends.lower[-1]), float(ends.upper[-1])
        if either.any():
            at = int(either.argmax())
            verdict: Verdict = "FAIL" if decided["FAIL"][at] else "PASS"
            self._latched = self._describe(verdict, start + at + 1, float(ends.lower[at]), float(ends.upper[at]))
        elif stop == self.population:
            self._latch_exact(stop)

    def _latch_exact(self, count: int) -> None:
        exact = self._metric(count)
        if exact is None:
            return
        self._latched = Decision(
            "PASS" if meets(exact, self.theta, self.direction) else "FAIL", count, exact, (exact, exact)
        )

    def _describe(self, verdict: Verdict, count: int, lower: float, upper: float) -> Decision:
        passed, forbids, message = self._beyond(count)
        interval = (
            -np.inf if "lower" in passed else self._unscaled(lower),
            np.inf if "upper" in passed else self._unscaled(upper),
        )
        more = self._more() if verdict == "INCONCLUSIVE" and count and len(forbids) < 2 else None
        if more is not None and self.population is not None:
            more = min(more, self.population - count)
        return Decision(verdict, count, self._metric(count), interval, more, forbids, message)
