"""F1, precision, recall, false-positive rate and accuracy as means of a bounded variable, and their test.

Each metric is hits / informative cases, or (F1) an increasing function of that share:

| metric              | hit      | informative    | metric of the share p |
|---------------------|----------|----------------|-----------------------|
| f1                  | TP       | TP, FP, FN     | 2p / (1+p)            |
| precision           | TP       | TP, FP         | p                     |
| recall              | TP       | TP, FN         | p                     |
| false_positive_rate | FP       | FP, TN         | p                     |
| accuracy            | TP, TN   | all            | p                     |

**F1.** With p = TP / (TP+FP+FN), F1 = 2TP / (2TP+FP+FN) = 2p / (p+1). This increases in p, so F1 ≥ θ ⟺ p ≥ θ/(2−θ).
Multiplying z = 2(1−θ)·1[TP] − θ·1[FP or FN] by 1/(2−θ) gives (1−p)·1[TP] − p·1[FP or FN] with that p: both state
the same claim.

**One variable.** A unit (a case, or an episode of several) has h hits among i informative cases, i ≤ L. Let

    x(p) = p + (h − p·i) / L,   in [0, 1].

The ratio of the source is E[h]/E[i] = ρ, so E[x(p)] ≥ p ⟺ E[h] ≥ p·E[i] ⟺ ρ ≥ p: testing "the mean of x(p) against p"
is testing "ρ against p", for every candidate p with its own x(p).

**Uninformative cases cost nothing.** Where i = 0, x(p) = p and both bets keep their capital, since they bet on
x(p) − p. So with L = 1 this is the test of a share among the informative cases alone, which are draws from the
conditional distribution of hits given that a case is informative. The true negatives of a rare class do not dilute it:
at a prevalence of 11 % it needs as many informative cases as at 50 %.

**Finite sets.** Over all N units Σ x(p) = N p ⟺ Σh = p Σi, so x(p) without replacement (`finite_population`) tests the
ratio of the set, though its number of informative cases is not known beforehand.

**Episodes of unequal length.** Where decisions depend on one another, the unit is the episode and h, i are sums over
it. The metric stays that of all cases pooled, and long episodes count more; the mean of the ratios of single episodes
would be another metric. L bounds the informative cases of any episode and is known before play: the longest possible
episode. The test is valid for any such L; the tighter it is, the sooner it decides.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from rl_eval.errors import InputError, nearest
from rl_eval.evidence.direction import Direction
from rl_eval.evidence.result import EvidenceResult, units_needed
from rl_eval.evidence.sequential import SequentialTest


class RatioCounts(NamedTuple):
    """The counts of each unit; every array is `[E]`.

    Attributes:
        hits: cases that count for the metric.
        informative: cases that count at all.
        required: cases without any of which the metric is undefined: positives for F1, informative ones for the rest.
    """

    hits: np.ndarray
    informative: np.ndarray
    required: np.ndarray


@dataclass(frozen=True)
class _RatioMetric:
    cases: Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray, np.ndarray]]
    share: Callable[[float], float]  # the metric's value -> p
    value: Callable[[float], float]  # p -> the metric's value


def _identity(value: float) -> float:
    return value


# (positive, flagged) -> hits, informative, required
_METRICS = {
    "f1": _RatioMetric(lambda y, f: (y & f, y | f, y), lambda v: v / (2 - v), lambda p: 2 * p / (1 + p)),
    "precision": _RatioMetric(lambda y, f: (y & f, f, f), _identity, _identity),
    "recall": _RatioMetric(lambda y, f: (y & f, y, y), _identity, _identity),
    "false_positive_rate": _RatioMetric(lambda y, f: (~y & f, ~y, ~y), _identity, _identity),
    "accuracy": _RatioMetric(lambda y, f: (y == f, y | ~y, y | ~y), _identity, _identity),
}
RATIO_METRICS = tuple(_METRICS)


def count_cases(metric: str, label: np.ndarray, flagged: np.ndarray, episode: np.ndarray | None = None) -> RatioCounts:
    """The counts of each unit for one metric.

    Args:
        metric: one of `RATIO_METRICS`.
        label, flagged: `[S]` of 0 and 1, one a case, in order.
        episode: `[S]` the episode of each case, numbered from 0; None where every case is a unit.

    Raises:
        InputError: no such metric, no cases, shapes differ, or a value is neither 0 nor 1.
    """
    ratio_metric = _lookup(metric)
    columns = [np.asarray(values) for values in (label, flagged)]
    if len({len(values) for values in columns}) > 1 or (episode is not None and len(episode) != len(columns[0])):
        raise InputError("labels, flags and episodes have different lengths: give one of each a case")
    if len(columns[0]) == 0:
        raise InputError("there is no case, so nothing can be decided: play at least one unit")
    for name, values in zip(("label", "flag"), columns, strict=True):
        if not np.isin(values, (0, 1)).all():
            raise InputError(f"a {name} is neither 0 nor 1, so {metric} is undefined")
    cases = ratio_metric.cases(columns[0] == 1, columns[1] == 1)
    if episode is None:
        return RatioCounts(*(case.astype(np.int64) for case in cases))
    return RatioCounts(*(np.bincount(episode, weights=case).astype(np.int64) for case in cases))


class RatioTest(SequentialTest):
    """Is a ratio metric at least θ? The units are the counts of cases or episodes, in the order of their seeds.

    Nothing is decided before the metric is defined on the units so far.

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
    ) -> None:
        self.metric, self._ratio_metric = metric, _lookup(metric)
        if not 0.0 <= theta <= 1.0:
            raise InputError(f"the threshold {theta:g} of {metric} is outside [0, 1]")
        if longest < 1:
            raise InputError(f"longest={longest} is not the number of cases that a unit can hold: give 1 or more")
        self.longest = longest
        self._share = self._ratio_metric.share(theta)
        self._counts = RatioCounts(*(np.zeros(0, np.int64) for _ in RatioCounts._fields))
        super().__init__(theta, self._share, alpha, direction, population)

    def extend(self, units: RatioCounts) -> EvidenceResult:
        """Add n units; every array is `[n]`. Units after the decision are ignored.

        Raises:
            InputError: there are no units, one holds more cases than `longest`, or the finite set holds fewer units.
        """
        if len(units.hits) == 0:
            raise InputError("there is no unit, so nothing can be decided: play at least one")
        most = int(np.max(units.informative))
        if most > self.longest:
            raise InputError(f"a unit holds {most} cases of {self.metric}, more than longest={self.longest}: raise it")
        if self._final is None:
            self._counts = RatioCounts(*(np.concatenate(pair) for pair in zip(self._counts, units, strict=True)))
            self._advance(len(units.hits))
        return self.result

    def _unit_values(self, start: int, stop: int) -> np.ndarray:
        units = RatioCounts(*(counts[start:stop] for counts in self._counts))
        return unit_values(units, self._sequence.candidates, self.longest)

    def _metric(self, count: int) -> float | None:
        hits, informative, required = (int(counts[:count].sum()) for counts in self._counts)
        if not required:
            return None
        # 2·TP / (2·TP + FP + FN), rounded as the metric itself
        return 2 * hits / (hits + informative) if self.metric == "f1" else hits / informative

    def _defined(self, start: int, stop: int) -> np.ndarray:
        return np.cumsum(self._counts.required[:stop])[start:] > 0

    def _from_unit_interval(self, value: float) -> float:
        return self._ratio_metric.value(value)

    def _more_units(self) -> int | None:
        x = unit_values(self._counts, np.array([self._share]), self.longest)[: self.units]
        estimate = float(x.mean())
        log_capital = self._sequence.log_capital(above=estimate > self._share)
        return units_needed(estimate, float(x.std()), self._share, 0.0, 1.0, self.alpha, log_capital)


def undefined_reason(metric: str) -> str:
    """One sentence: why the metric has no value."""
    missing = {
        "f1": "none of the cases is positive",
        "precision": "the policy flagged none of the cases",
        "recall": "none of the cases is positive",
        "false_positive_rate": "all of the cases are positive",
    }
    return f"{metric} is undefined: {missing.get(metric, 'there are no cases')}"


def unit_values(units: RatioCounts, shares: np.ndarray, longest: int) -> np.ndarray:
    """x(p) = p + (h − p·i) / L of every unit and candidate share, `[E, K]`."""
    return shares + (units.hits[:, None] - shares * units.informative[:, None]) / longest


def _lookup(metric: str) -> _RatioMetric:
    if metric not in _METRICS:
        names = ", ".join(_METRICS)
        raise InputError(f"{metric!r} is not a ratio metric: {nearest(metric, _METRICS)}the ratio metrics are {names}")
    return _METRICS[metric]
