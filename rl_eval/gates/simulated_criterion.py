"""One criterion by evidence as its gate sees a policy of a stated true value: the units it plays are drawn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np

from rl_eval import domains
from rl_eval.errors import InputError
from rl_eval.evidence import (
    RATIO_METRICS,
    Power,
    count_cases,
    difference_bounds,
    draw_flags,
    draw_values,
    flag_rates,
    simulate_gates,
)
from rl_eval.evidence.ratio_metrics import RatioCounts
from rl_eval.formatting import number, percent, times
from rl_eval.gates.criterion import Criterion
from rl_eval.gates.evidence_check import EvidenceCheck
from rl_eval.gates.suite import Suite
from rl_eval.gates.suite_environment import SuiteEnvironment

# Units that are drawn first; then as many as there were.
_FIRST = 64
_Draw = Callable[..., Sequence[np.ndarray]]


@dataclass(frozen=True)
class CriterionPower:
    """One criterion at one true value.

    Attributes:
        threshold: of the difference to the reference, or to its multiple, where the criterion has one.
        true: the value of the policy; on a finite set, of the nearest one that the set allows.
        limit: units that evidence may use; None if that is not known.
    """

    criterion: str
    metric: str
    direction: str
    threshold: float
    true: float
    unit: str
    limit: int | None
    power: Power


def simulated_criteria(
    suite: Suite, environment: SuiteEnvironment, prevalence: float | None
) -> tuple[dict[str, SimulatedCriterion], dict[str, str]]:
    """By criterion: what can be simulated, and why the rest cannot.

    Args:
        prevalence: share of positive cases; None: that of the test set.
    """
    models, reasons = {}, {}
    for criterion in suite.criteria:
        reason = _no_evidence(criterion)
        if reason is None:
            check = EvidenceCheck(environment, criterion, clipped=False)
            labels = None
            if criterion.metric.name in RATIO_METRICS and prevalence is None:
                labels = domains.domain(environment.config.name).case_labels(environment.config, "test")
            reason = _no_model(criterion, check, labels is not None or prevalence is not None)
        if reason is not None:
            reasons[criterion.name] = reason
        else:
            models[criterion.name] = SimulatedCriterion(criterion, check, environment.min_episodes, prevalence, labels)
    return models, reasons


def _no_evidence(criterion: Criterion) -> str | None:
    if criterion.metric.kind == "run":
        return "is about several training runs"
    if criterion.metric.kind != "task":
        return "is read from the files of a run"
    return "is decided by the plain number (by: estimate)" if criterion.spec.by == "estimate" else None


def _no_model(criterion: Criterion, check: EvidenceCheck, has_labels: bool) -> str | None:
    if check.verdict is not None:
        return f"cannot be judged: {check.verdict.detail}"
    if criterion.metric.unit == "case" and criterion.unit == "episode":
        return "has episodes of several cases as units, and how these cases depend on one another is not known"
    if criterion.metric.name in RATIO_METRICS:
        if check.references:
            return "has a reference, and which cases both policies decide alike is not known"
        if not has_labels:
            return "needs the share of positive cases: give --prevalence"
    return None


@dataclass(frozen=True)
class SimulatedCriterion:
    """What the gate of a criterion sees of a policy.

    Attributes:
        least: units that are played at least.
        prevalence: share of positive cases; None: `labels` `[R]` are those of the test set.
        std: deviation of one unit; None for the largest.
    """

    criterion: Criterion
    check: EvidenceCheck
    least: int
    prevalence: float | None
    labels: np.ndarray | None
    std: float | None = None

    @property
    def bounds(self) -> tuple[float, float]:
        """Of the value of a unit; against a reference, of the difference."""
        low, high = (0.0, 1.0) if self._is_ratio else self.criterion.bounds or (0.0, 1.0)
        return difference_bounds(low, high, self._factor) if self.check.references else (low, high)

    @property
    def _factor(self) -> float:
        return 1.0 if self.criterion.spec.factor is None else self.criterion.spec.factor

    @property
    def _is_ratio(self) -> bool:
        return self.criterion.metric.name in RATIO_METRICS

    @property
    def assumed(self) -> str:
        """What its units are like, in one sentence."""
        name, metric = self.criterion.name, self.criterion.metric.name
        if self._is_ratio:
            both = ", as many false positives as false negatives" if metric in ("f1", "precision") else ""
            return f"{name}: {percent(self._prevalence)} of the cases are positive{both}"
        low, high = self.bounds
        multiple = times(self.criterion.spec.factor)
        what = f"differences to {multiple}one reference" if self.check.references else "values"
        if self.std is not None:
            return f"{name}: {what} with a standard deviation of {number(self.std)}, a Beta distribution on the bounds"
        if self.criterion.metric.name == "success_rate":
            return f"{name}: every episode is a success or none"
        return (
            f"{name}: {what} only at the bounds {number(low)} and {number(high)}, the widest possible spread: give "
            f"--std {name}=…"
        )

    @cached_property
    def _prevalence(self) -> float:
        if self.prevalence is not None:
            return self.prevalence
        assert self.labels is not None
        copies = self.check.copies
        return float(np.average(self.labels == 1, weights=None if copies is None else copies.weight))

    def simulate(
        self, true: float, gates: int, rng: np.random.Generator, on_gate: Callable[[], None]
    ) -> CriterionPower:
        """Many gates at one true value.

        Raises:
            InputError: the value is not possible.
        """
        test = self.check.new_test()
        draw = partial(self._draw_cases if self._is_ratio else self._draw_values, true=true)
        play = partial(self._play_source if test.population is None else self._play_set, draw=draw)
        power = simulate_gates(self.check.new_test, play, gates, rng, on_gate)
        blank = self.check.blank
        assert blank.threshold is not None
        return CriterionPower(
            self.criterion.name,
            self.criterion.metric.name,
            blank.direction,
            blank.threshold,
            true,
            self.criterion.unit,
            test.limit,
            power,
        )

    def _play_source(self, test: Any, rng: np.random.Generator, draw: _Draw) -> None:
        """Add units until the test decides; how many are played after that changes nothing."""
        played, limit = 0, test.limit or self.least
        while test.decision == "INCONCLUSIVE" and played < limit:
            block = min(max(played, _FIRST), limit - played)
            self._extend(test, draw(rng, count=block, exact=False))
            played += block

    def _play_set(self, test: Any, rng: np.random.Generator, draw: _Draw) -> None:
        """Add units of a set in random order, as many as a gate plays: where it plays all, the set itself decides."""
        units = draw(rng, count=test.population, exact=True)
        played, stop = 0, min(self.least, test.limit)
        while played < stop:
            self._extend(test, [values[played:stop] for values in units])
            played = stop
            if test.decision == "INCONCLUSIVE":
                stop = min(stop + max(stop // 4, 16), test.limit)

    def _extend(self, test: Any, units: Sequence[np.ndarray]) -> None:
        test.extend(*([RatioCounts(*units)] if self._is_ratio else units))

    def _draw_cases(self, rng: np.random.Generator, true: float, count: int, exact: bool) -> tuple[np.ndarray, ...]:
        """`[n]` hits, informative and required cases of each unit."""
        metric = self.criterion.metric.name
        if not 0 <= true <= 1:
            raise InputError(f"a true value of {true:g} is outside [0, 1], the range of {metric}")
        if self.labels is None:
            weights = self._weights(rng, count)
            labels = draw_flags(rng, np.ones(count, bool), self._prevalence, 0.0, exact=exact)
        else:
            size = len(self.labels)
            rows = rng.permutation(size)[:count] if exact else rng.integers(size, size=count)
            copies = self.check.copies
            labels, weights = self.labels[rows] == 1, np.ones(count) if copies is None else copies.weight[rows]
        flagged = draw_flags(rng, labels, *flag_rates(metric, true, self._prevalence), exact=exact)
        return count_cases(metric, labels, flagged, None, weights)

    def _weights(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """`[n]` how much each case counts."""
        copies = self.check.copies
        return np.ones(count) if copies is None else rng.choice(copies.weight, count)

    def _draw_values(self, rng: np.random.Generator, true: float, count: int, exact: bool) -> tuple[np.ndarray, ...]:
        """`[n]` what the test takes of each unit: a value; a sum and a number of cases; or two values."""
        values = draw_values(rng, count, true, self.std, *self.bounds, exact=exact)
        if self.criterion.unit == "case":
            weights = self._weights(rng, count)
            return values * weights, weights
        if not self.check.references:
            return (values,)
        # of all pairs of values with this difference, the one where either is lowest
        low, _ = self.criterion.bounds or (0.0, 1.0)
        above = values - (low - self._factor * low)
        return low + np.maximum(above, 0), low + np.maximum(-above, 0) / self._factor
