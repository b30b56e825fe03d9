"""A sequential test: units are added, and the evidence decides a criterion as soon as it suffices."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from functools import partial
from math import inf, log, log1p
from typing import Literal

import numpy as np

from rl_eval.errors import InputError
from rl_eval.evidence.betting import OneSidedBet, check_alpha
from rl_eval.evidence.bounds import Side, forbidden_decision
from rl_eval.evidence.direction import Direction, check_direction, meets, wants_above
from rl_eval.evidence.finite_population import impossible, remaining_mean, sum_before
from rl_eval.evidence.history import MAX_POINTS, EvidenceHistory, history_of, sample_units
from rl_eval.evidence.result import EvidenceResult, Verdict, units_needed
from rl_eval.evidence.share_interval import share_interval

# Units of one step, so that a `[units, bets]` array stays in the cache.
_CHUNK = 256


class SequentialTest(ABC):
    """Base class of all tests: when the evidence decides, and what is shown of everything that was played.

    Two bets start with a capital of 1, one that the metric is above θ and one that it is below. A bet on a false claim
    multiplies its capital by 1/α at any time with probability ≤ α, so the first one to do so decides:
    P(PASS | metric < θ) ≤ α and P(FAIL | metric > θ) ≤ α, no matter when one stops to look. Units after the decision
    are not evidence; they sharpen the estimate and the interval. Where all units of a finite set were added, the plain
    metric is the true value and decides.

    Args:
        theta: the threshold.
        alpha: chance of a false PASS, and of a false FAIL.
        direction: what PASS claims of the metric, such as `at_least` the threshold.
        population: size of the finite set that units are drawn from in random order; None for a source.
        limit: how many units there will be at most; None if that is unknown.
    """

    _history_points = MAX_POINTS

    def __init__(
        self, theta: float, alpha: float, direction: Direction, population: int | None, limit: int | None
    ) -> None:
        check_direction(direction)
        check_alpha(alpha)
        if population is not None and population < 1:
            raise InputError(f"a set of {population} units cannot be judged: it needs at least one")
        if population is not None:
            limit = min(limit or population, population)
        self.theta, self.alpha, self.direction = theta, alpha, direction
        self.population, self.limit = population, limit
        self.units = 0
        self._decided: tuple[Verdict, int] | None = None
        self._log_capitals: list[np.ndarray] = []  # [2, n] arrays: log K of "above" and of "below"
        self._result: EvidenceResult | None = None

    @property
    def decision(self) -> Verdict:
        """The decision so far."""
        verdict, _ = self._outcome()
        return verdict

    @property
    def decided_at(self) -> int | None:
        """Units after which the evidence sufficed; None if it has not."""
        _, at = self._outcome()
        return at

    @property
    def result(self) -> EvidenceResult:
        """The result so far."""
        if self._result is None or self._result.units != self.units:
            self._result = self._describe()
        return self._result

    @property
    def history(self) -> EvidenceHistory | None:
        """How the evidence grew up to the decision; None before the first unit."""
        if not self._log_capitals:
            return None
        log_above, log_below = np.concatenate(self._log_capitals, axis=1)
        at = sample_units(len(log_above), self._history_points)
        for_pass, for_fail = (log_above, log_below) if wants_above(self.direction) else (log_below, log_above)
        return history_of(at, [self._interval(count) for count in at.tolist()], for_pass[at - 1], for_fail[at - 1])

    @abstractmethod
    def _bet(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        """`[n]` log K of "above" and of "below" after each of the next units."""

    @abstractmethod
    def _metric(self, count: int) -> float | None:
        """The plain metric of the first units; None while it is undefined."""

    @abstractmethod
    def _defined(self, start: int, stop: int) -> np.ndarray:
        """`[n]` whether the metric is defined after each of the units."""

    @abstractmethod
    def _interval(self, count: int) -> tuple[float, float]:
        """The values of the metric that the first units do not refute."""

    @abstractmethod
    def _more_units(self) -> int | None:
        """About how many further units would decide."""

    def _forbidden(self, start: int, stop: int) -> dict[Literal["PASS", "FAIL"], np.ndarray]:
        """By decision, `[n]` whether a value past the bounds forbids it after each of the units."""
        nothing = np.zeros(stop - start, bool)
        return {"PASS": nothing, "FAIL": nothing}

    def _violated(self) -> dict[Side, str]:
        """The bounds that units passed, and one sentence about each."""
        return {}

    def _advance(self, count: int) -> None:
        """Process the next units, which the subclass has stored."""
        if self.population is not None and self.units + count > self.population:
            raise InputError(
                f"{self.units + count} units were drawn from a set of {self.population}: give the size of the whole set"
            )
        for start, stop in _chunks(self.units, self.units + count):
            if self._decided is None:
                self._process_chunk(start, stop)
        self.units += count

    def _process_chunk(self, start: int, stop: int) -> None:
        log_above, log_below = self._bet(start, stop)
        defined, forbidden, bar = self._defined(start, stop), self._forbidden(start, stop), log(1 / self.alpha)
        passes, fails = (log_above, log_below) if wants_above(self.direction) else (log_below, log_above)
        passes = (passes >= bar) & defined & ~forbidden["PASS"]
        fails = (fails >= bar) & defined & ~forbidden["FAIL"]
        decided = passes | fails
        used = stop - start
        if decided.any():
            index = int(decided.argmax())
            used = index + 1
            self._decided = "FAIL" if fails[index] else "PASS", start + used
        self._log_capitals.append(np.stack([log_above[:used], log_below[:used]]))

    def _outcome(self) -> tuple[Verdict, int | None]:
        """The decision, and after how many units."""
        verdict, at = self._decided or ("INCONCLUSIVE", None)
        if self.units and self.units == self.population and (exact := self._metric(self.units)) is not None:
            of_set: Verdict = "PASS" if meets(exact, self.theta, self.direction) else "FAIL"
            # the value of the whole set is known, no matter what the evidence was
            return of_set, at if of_set == verdict else self.units
        if verdict in self._forbids():
            return "INCONCLUSIVE", None
        return verdict, at

    def _forbids(self) -> frozenset[str]:
        return frozenset(forbidden_decision(side, self.direction) for side in self._violated())

    def _describe(self) -> EvidenceResult:
        (verdict, at), violated, estimate = self._outcome(), self._violated(), self._metric(self.units)
        if self.units and self.units == self.population and estimate is not None:
            return EvidenceResult(verdict, at, self.units, estimate, (estimate, estimate))
        lower, upper = self._interval(self.units)
        if verdict == "INCONCLUSIVE":  # the bets at the threshold did not refute it
            lower, upper = min(lower, self.theta), max(upper, self.theta)
        interval = (-np.inf if "lower" in violated else lower, np.inf if "upper" in violated else upper)
        more = self._more_units() if verdict == "INCONCLUSIVE" and self.units and len(violated) < 2 else None
        if more is not None and self.population is not None:
            more = min(more, self.population - self.units)
        return EvidenceResult(
            verdict, at, self.units, estimate, interval, more, self._forbids(), "; ".join(violated.values())
        )


class ShareTest(SequentialTest):
    """Base class of the tests whose metric is an increasing function of a share of hits among informative cases.

    A unit has h hits among n informative cases, 0 ≤ h ≤ n ≤ L. With p the share at the threshold,

        x = p + (h − p n) / L,   in [0, 1].

    The share of the source is E[h] / E[n], so E[x] ≥ p exactly where the share is at least p: "the share against p" is
    "the mean of x against p". A unit without informative cases has x = p, where both bets keep their capital. On a
    finite set Σ x = N p exactly where Σ h = p Σ n. So a bet against what is left (`finite_population`) tests the
    share of the set, although its number of informative cases is not known beforehand.

    Args:
        share: p, in [0, 1].
        longest: L.
        theta, alpha, direction, population, limit: as of `SequentialTest`.
    """

    def __init__(
        self,
        theta: float,
        share: float,
        longest: float,
        alpha: float,
        direction: Direction,
        population: int | None,
        limit: int | None,
    ) -> None:
        super().__init__(theta, alpha, direction, population, limit)
        self._share, self._longest = share, longest
        self._hits, self._informative = np.zeros(0), np.zeros(0)
        bet = partial(OneSidedBet, alpha=alpha, limit=self.limit)
        self._above, self._below = bet(share), bet(1 - share)
        self._z_sum = 0.0

    def _add(self, hits: np.ndarray, informative: np.ndarray) -> None:
        """Store and process the next units, `[n]` each."""
        self._hits = np.concatenate([self._hits, hits])
        self._informative = np.concatenate([self._informative, informative])
        self._advance(len(hits))

    @abstractmethod
    def _value(self, share: float) -> float:
        """The metric of a share."""

    def _interval(self, count: int) -> tuple[float, float]:
        precise = count == self.units
        lower, upper = share_interval(
            self._hits[:count],
            self._informative[:count],
            self._longest,
            self.alpha,
            self.population,
            self.limit,
            **({} if precise else {"bisections": 9}),
        )
        return self._value(lower), self._value(upper)

    def _bet(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        z = self._z(start, stop)
        if self.population is None:
            return self._above.advance(z, np.full(len(z), self._share)), self._below.advance(
                -z, np.full(len(z), 1 - self._share)
            )
        units = np.arange(start, stop)
        before = sum_before(z, self._z_sum)
        shift = remaining_mean(before, units, self.population)
        means = np.clip(self._share + shift, 0.0, 1.0)
        too_low, too_high = impossible(self._share, before + z, units + 1, self.population)
        self._z_sum += float(z.sum())
        above = self._above.advance(np.maximum(z - shift, -means), means)
        below = self._below.advance(np.maximum(shift - z, means - 1), 1 - means)
        return np.where(too_low, np.inf, above), np.where(too_high, np.inf, below)

    def _z(self, start: int, stop: int) -> np.ndarray:
        return (self._hits[start:stop] - self._share * self._informative[start:stop]) / self._longest

    def _more_units(self) -> int | None:
        z = self._z(0, self.units)
        gap = float(z.mean())
        most_loss = self._share if gap > 0 else 1 - self._share
        most_growth = log1p(abs(gap) / most_loss) if most_loss > 0 else inf
        return units_needed(gap, float((z * z).mean()), self.units, self.alpha, most_growth)


def _chunks(start: int, stop: int) -> Iterator[tuple[int, int]]:
    for first in range(start, stop, _CHUNK):
        yield first, min(first + _CHUNK, stop)
