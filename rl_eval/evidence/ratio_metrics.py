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

**Uninformative cases cost nothing.** A unit (a case, or an episode of several) has h hits among n informative cases.
The test bets on h − p n (`sequential.ShareTest`), which is 0 if there are none. So where units are cases this is
the test of a share among only the informative cases. The true negatives of a rare class do not dilute it: at a
prevalence of 11 % it needs as many informative cases as at 50 %.

**Episodes of unequal length.** Where decisions depend on each other, the unit is the episode and h, n are sums over
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
from rl_eval.evidence.sequential import ShareTest


class RatioCounts(NamedTuple):
    """The counts of each unit; every array is `[E]`.

    Attributes:
        hits: cases that count for the metric.
        informative: cases that count at all.
        required: the metric is undefined without any of these cases: positives for F1, informative ones for the rest.
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


def count_cases(
    metric: str,
    label: np.ndarray,
    flagged: np.ndarray,
    episode: np.ndarray | None = None,
    weights: np.ndarray | None = None,
    units: int | None = None,
) -> RatioCounts:
    """The counts of each unit for one metric.

    Args:
        metric: one of `RATIO_METRICS`.
        label, flagged: `[S]` of 0 and 1, one per case, in order.
        episode: `[S]` the episode of each case, numbered from 0; None if every case is a unit.
        weights: `[S]` how much each case counts; None for 1.
        units: how many there are at least, where the last ones may have no case.

    Raises:
        InputError: no such metric, no cases, shapes differ, or a value is neither 0 nor 1.
    """
    ratio_metric = _lookup(metric)
    columns = [np.asarray(values) for values in (label, flagged)]
    if len({len(values) for values in columns}) > 1 or (episode is not None and len(episode) != len(columns[0])):
        raise InputError("labels, flags and episodes have different lengths: give one of each for every case")
    if len(columns[0]) == 0:
        raise InputError("there is no case, so nothing can be decided: play at least one unit")
    for name, values in zip(("label", "flag"), columns, strict=True):
        if not np.isin(values, (0, 1)).all():
            raise InputError(f"a {name} is neither 0 nor 1, so {metric} is undefined")
    cases = ratio_metric.cases(columns[0] == 1, columns[1] == 1)
    weighted = [case * weights if weights is not None else case for case in cases]
    if episode is None:
        return RatioCounts(*(case.astype(np.int64) for case in weighted))
    return RatioCounts(
        *(np.bincount(episode, weights=case, minlength=units or 0).astype(np.int64) for case in weighted)
    )


class RatioTest(ShareTest):
    """Is a ratio metric at least θ? The units are the counts of cases or episodes, in the order of their seeds.

    Nothing is decided before the metric is defined on the units so far.

    Args:
        metric: one of `RATIO_METRICS`.
        theta: the threshold, in [0, 1].
        alpha: chance of a false PASS, and of a false FAIL.
        direction: what PASS claims of the metric, such as `at_least` theta.
        population: units in the finite set, visited in random order; None for a source.
        longest: L, the most informative cases that any unit can hold; 1 where units are cases.
        limit: how many units there will be at most; None if that is unknown.

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
        limit: int | None = None,
    ) -> None:
        self.metric, self._ratio_metric = metric, _lookup(metric)
        if not 0.0 <= theta <= 1.0:
            raise InputError(f"the threshold {theta:g} of {metric} is outside [0, 1]")
        self.longest = check_longest(longest)
        self._required = np.zeros(0)
        super().__init__(theta, self._ratio_metric.share(theta), float(longest), alpha, direction, population, limit)

    def extend(self, units: RatioCounts) -> None:
        """Add n units; every array is `[n]`.

        Raises:
            InputError: there are no units, one holds more cases than `longest`, or the finite set holds fewer units.
        """
        check_counts(self.metric, units, self.longest)
        self._required = np.concatenate([self._required, units.required])
        self._add(units.hits.astype(np.float64), units.informative.astype(np.float64))

    def _metric(self, count: int) -> float | None:
        return ratio_value(
            self.metric, self._hits[:count].sum(), self._informative[:count].sum(), self._required[:count].sum()
        )

    def _defined(self, start: int, stop: int) -> np.ndarray:
        return np.cumsum(self._required[:stop])[start:] > 0

    def _value(self, share: float) -> float:
        return self._ratio_metric.value(share)


def ratio_value(metric: str, hits: float, informative: float, required: float) -> float | None:
    """The metric of counts; None while it is undefined."""
    if not required:
        return None
    # 2·TP / (2·TP + FP + FN), rounded as the metric itself
    return float(2 * hits / (hits + informative) if metric == "f1" else hits / informative)


def check_longest(longest: int) -> int:
    """The most cases that a unit can hold make sense.

    Raises:
        InputError: fewer than one.
    """
    if longest < 1:
        raise InputError(f"longest={longest} is not a number of cases: give 1 or more")
    return longest


def check_counts(metric: str, units: RatioCounts, longest: int) -> None:
    """There are units, and none holds more cases than is possible.

    Raises:
        InputError: otherwise.
    """
    if len(units.hits) == 0:
        raise InputError("there is no unit, so nothing can be decided: play at least one")
    most = int(np.max(units.informative))
    if most > longest:
        raise InputError(f"a unit has {most} cases of {metric}, more than longest={longest}: raise it")


def undefined_reason(metric: str) -> str:
    """One sentence: why the metric has no value."""
    missing = {
        "f1": "none of the cases is positive",
        "precision": "the policy flagged none of the cases",
        "recall": "none of the cases is positive",
        "false_positive_rate": "all of the cases are positive",
    }
    return f"{metric} is undefined: {missing.get(metric, 'there are no cases')}"


def _lookup(metric: str) -> _RatioMetric:
    if metric not in _METRICS:
        names = ", ".join(_METRICS)
        raise InputError(f"{metric!r} is not a ratio metric: {nearest(metric, _METRICS)}the ratio metrics are {names}")
    return _METRICS[metric]
