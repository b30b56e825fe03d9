"""F1, precision, recall, false-positive rate and accuracy as means of a bounded variable.

Each of them is hits / informative cases, or (F1) an increasing function of such a share:

| metric              | hit      | informative    | metric of the share p |
|---------------------|----------|----------------|-----------------------|
| f1                  | TP       | TP, FP, FN     | 2p / (1+p)            |
| precision           | TP       | TP, FP         | p                     |
| recall              | TP       | TP, FN         | p                     |
| false_positive_rate | FP       | FP, TN         | p                     |
| accuracy            | TP, TN   | all            | p                     |

**F1.** With p = TP / (TP+FP+FN), F1 = 2TP / (2TP+FP+FN) = 2p / (p+1), which increases in p, so F1 ≥ θ ⟺ p ≥ θ/(2−θ).
Multiplying z = 2(1−θ)·1[TP] − θ·1[FP or FN] by 1/(2−θ) gives (1−p)·1[TP] − p·1[FP or FN] with that p: the two say
the same.

**One variable.** A unit (a case, or an episode of several) has h hits among i informative cases, i ≤ L. Let

    x(p) = p + (h − p·i) / L,   in [0, 1].

The ratio of the source is E[h]/E[i] = ρ, so E[x(p)] ≥ p ⟺ E[h] ≥ p·E[i] ⟺ ρ ≥ p: "the mean of x(p) against p" is the
test of "ρ against p", for every candidate p, with its own x(p).

**Uninformative cases cost nothing.** Where i = 0, x(p) = p and both gamblers keep what they have, since they bet on
x(p) − p. So with L = 1 this is the test of a share among the informative cases alone, which are draws from the
conditional distribution of hits given that a case is informative, and the true negatives of a rare class do not dilute
it: at a prevalence of 11 %, as many informative cases decide as at 50 %.

**Finite sets.** Over all N units Σ x(p) = N p ⟺ Σh = p Σi, so x(p) without replacement (`finite`) tests the ratio of
the set, though nobody knows beforehand how many informative cases it holds.

**Episodes of unequal length.** Where decisions depend on one another, the unit is the episode and h, i are sums over
it. That keeps the metric what it is over all cases pooled, long episodes counting more; the mean of each episode's own
ratio would be another metric. L bounds the informative cases of any episode, known before: the longest possible
episode. The test stays valid for any such L; the tighter it is, the sooner it decides.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from rl_eval.errors import InputError, nearest
from rl_eval.evidence.decision import Decision, units_needed
from rl_eval.evidence.direction import Direction
from rl_eval.evidence.many import Decisions, race
from rl_eval.evidence.sequential import Sequential
from rl_eval.evidence.two_sided import GRID


class Counts(NamedTuple):
    """What each unit holds, `[E]` each.

    Attributes:
        hits: cases that count for the metric.
        informative: cases that count at all.
        required: cases without any of which the metric is undefined: positives for F1, informative ones for the rest.
    """

    hits: np.ndarray
    informative: np.ndarray
    required: np.ndarray


@dataclass(frozen=True)
class _Ratio:
    cases: Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray, np.ndarray]]
    share: Callable[[float], float]  # the metric's value -> p
    value: Callable[[float], float]  # p -> the metric's value


def _same(value: float) -> float:
    return value


# (positive, flagged) -> hits, informative, required
_RATIOS = {
    "f1": _Ratio(lambda y, f: (y & f, y | f, y), lambda v: v / (2 - v), lambda p: 2 * p / (1 + p)),
    "precision": _Ratio(lambda y, f: (y & f, f, f), _same, _same),
    "recall": _Ratio(lambda y, f: (y & f, y, y), _same, _same),
    "false_positive_rate": _Ratio(lambda y, f: (~y & f, ~y, ~y), _same, _same),
    "accuracy": _Ratio(lambda y, f: (y == f, y | ~y, y | ~y), _same, _same),
}
RATIO_METRICS = tuple(_RATIOS)


def counts(metric: str, label: np.ndarray, flagged: np.ndarray, episode: np.ndarray | None = None) -> Counts:
    """What each unit holds of one metric.

    Args:
        metric: one of `RATIO_METRICS`.
        label, flagged: `[S]` of 0 and 1, a case each, in order.
        episode: `[S]` the episode of each case, numbered from 0; None where every case is a unit.

    Raises:
        InputError: no such metric, no cases, shapes differ, or a value is neither 0 nor 1.
    """
    ratio = _lookup(metric)
    columns = [np.asarray(values) for values in (label, flagged)]
    if len({len(values) for values in columns}) > 1 or (episode is not None and len(episode) != len(columns[0])):
        raise InputError("labels, flags and episodes have different lengths: give one of each a case")
    if len(columns[0]) == 0:
        raise InputError("there is no case, so nothing can be decided: play at least one unit")
    for name, values in zip(("label", "flag"), columns, strict=True):
        if not np.isin(values, (0, 1)).all():
            raise InputError(f"a {name} is neither 0 nor 1, so {metric} is undefined")
    cases = ratio.cases(columns[0] == 1, columns[1] == 1)
    if episode is None:
        return Counts(*(case.astype(np.int64) for case in cases))
    return Counts(*(np.bincount(episode, weights=case).astype(np.int64) for case in cases))


class RatioTest(Sequential):
    """Is a ratio metric at least θ? Fed with the counts of cases or episodes, in the order of their seeds.

    Nothing is decided before the metric is defined on what was seen.

    Args:
        metric: one of `RATIO_METRICS`.
        theta: the threshold, in [0, 1].
        alpha: chance of a false PASS, and of a false FAIL.
        direction: what PASS claims of the metric, such as `at_least` theta.
        population: units in the finite set, visited in random order; None for a source.
        longest: L, the most informative cases that any unit can hold; 1 where units are cases.

    Raises:
        InputError: an argument makes no sense.
    """

    def __init__(
        self,
        metric: str,
        theta: float,
        alpha: float = 0.05,
        direction: Direction = "at_least",
        population: int | None = None,
        longest: int = 1,
        grid: int = GRID,
    ) -> None:
        self.metric, self._ratio = metric, _lookup(metric)
        if not 0.0 <= theta <= 1.0:
            raise InputError(f"the threshold {theta:g} of {metric} is outside [0, 1]")
        if longest < 1:
            raise InputError(f"longest={longest} is not the number of cases that a unit can hold: give 1 or more")
        self.longest = longest
        self._share = self._ratio.share(theta)
        self._counts = Counts(*(np.zeros(0, np.int64) for _ in Counts._fields))
        super().__init__(theta, self._share, alpha, direction, population, grid)

    def extend(self, units: Counts) -> Decision:
        """Take in n units, each array `[n]`; those after the decision are ignored.

        Raises:
            InputError: no units, one holds more cases than `longest`, or the finite set holds fewer units.
        """
        if len(units.hits) == 0:
            raise InputError("there is no unit, so nothing can be decided: play at least one")
        most = int(np.max(units.informative))
        if most > self.longest:
            raise InputError(f"a unit holds {most} cases of {self.metric}, more than longest={self.longest}: raise it")
        if self._latched is None:
            self._counts = Counts(*(np.concatenate(pair) for pair in zip(self._counts, units, strict=True)))
            self._advance(len(units.hits))
        return self.decision

    def _scaled(self, start: int, stop: int) -> np.ndarray:
        units = Counts(*(each[start:stop] for each in self._counts))
        return unit_values(units, self._sides.candidates, self.longest)

    def _metric(self, count: int) -> float | None:
        hits, informative, required = (int(each[:count].sum()) for each in self._counts)
        if not required:
            return None
        # 2·TP / (2·TP + FP + FN), rounded as the metric itself
        return 2 * hits / (hits + informative) if self.metric == "f1" else hits / informative

    def _defined(self, start: int, stop: int) -> np.ndarray:
        return np.cumsum(self._counts.required[:stop])[start:] > 0

    def _unscaled(self, value: float) -> float:
        return self._ratio.value(value)

    def _more(self) -> int | None:
        x = unit_values(self._counts, np.array([self._share]), self.longest)[: self.units]
        estimate = float(x.mean())
        evidence = self._sides.evidence(above=estimate > self._share)
        return units_needed(estimate, float(x.std()), self._share, 0.0, 1.0, self.alpha, evidence)


def decide_ratio(
    metric: str,
    label: np.ndarray,
    flagged: np.ndarray,
    theta: float,
    alpha: float = 0.05,
    direction: Direction = "at_least",
    *,
    episode: np.ndarray | None = None,
    population: int | None = None,
    longest: int = 1,
) -> Decision:
    """`RatioTest` on `[S]` cases that are all there already.

    Raises:
        InputError: as `counts` and `RatioTest`, or the metric is undefined on all of the cases.
    """
    test = RatioTest(metric, theta, alpha, direction, population, longest)
    decision = test.extend(counts(metric, label, flagged, episode))
    if decision.estimate is None:
        raise InputError(undefined(metric))
    return decision


def decide_ratio_many(
    metric: str,
    hits: np.ndarray,
    informative: np.ndarray,
    theta: float,
    alpha: float = 0.05,
    direction: Direction = "at_least",
    *,
    population: int | None = None,
    longest: int = 1,
) -> Decisions:
    """S gates at once, for simulations; see `decide_many`.

    Args:
        hits, informative: `[S, T]` the counts of each unit.
    """
    ratio = _lookup(metric)
    share = ratio.share(theta)
    x = share + (hits - share * informative).T / longest
    return race(x, share, alpha, direction, population, hits.sum(axis=1) - share * informative.sum(axis=1))


def undefined(metric: str) -> str:
    """One sentence: why the metric has no value."""
    missing = {
        "f1": "none of the cases is positive",
        "precision": "the policy flagged none of the cases",
        "recall": "none of the cases is positive",
        "false_positive_rate": "all of the cases are positive",
    }
    return f"{metric} is undefined: {missing.get(metric, 'there are no cases')}"


def unit_values(units: Counts, shares: np.ndarray, longest: int) -> np.ndarray:
    """x(p) = p + (h − p·i) / L of every unit and candidate share, `[E, K]`."""
    return shares + (units.hits[:, None] - shares * units.informative[:, None]) / longest


def _lookup(metric: str) -> _Ratio:
    if metric not in _RATIOS:
        known = ", ".join(_RATIOS)
        raise InputError(f"{metric!r} is not a ratio metric: {nearest(metric, _RATIOS)}the ratio metrics are {known}")
    return _RATIOS[metric]
