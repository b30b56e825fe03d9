"""Criteria `by: evidence`: played until chance is ruled out, or the episodes are used up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from rl_eval.errors import InputError
from rl_eval.evidence import (
    RATIO_METRICS,
    CaseMeanTest,
    EvidenceResult,
    MeanTest,
    PairedTest,
    RatioTest,
    SequentialTest,
    change_in_play,
    count_cases,
    difference_bounds,
    ratio_difference_test,
    undefined_reason,
)
from rl_eval.formatting import number, times
from rl_eval.gates.compared import MAX_UNITS, PlayedUnits
from rl_eval.gates.criterion import Criterion
from rl_eval.gates.criterion_check import CriterionCheck, reference_policies
from rl_eval.gates.episode_buffer import EpisodeBuffer
from rl_eval.gates.missing_values import filled, missing_note
from rl_eval.gates.suite_environment import SuiteEnvironment
from rl_eval.gates.verdict import DIRECTION_SIGNS, CriterionVerdict, decide_by_evidence
from rl_eval.gates.worst_episodes import worst_episodes
from rl_eval.rollout import Episodes

MAX_GROUPS = 3  # that the sentence names, the worst first
_ORDER = {"FAIL": 0, "INCONCLUSIVE": 1, "PASS": 2}


class EvidenceCheck(CriterionCheck):
    """A mean or a ratio metric; against references, the difference to each, or to its multiple, on the same seeds.

    Attributes:
        references: the policies to be better than; empty if there is a bar.
        copies: of cases, where copies do not count as cases of their own.
    """

    references: list[str]

    def __init__(self, environment: SuiteEnvironment, criterion: Criterion, clipped: bool) -> None:
        super().__init__(environment.suite, criterion)
        self._environment, self._criterion, self._clipped = environment, criterion, clipped
        self._metric, self._by_case = criterion.metric, criterion.unit == "case"
        self._factor = 1.0 if criterion.spec.factor is None else criterion.spec.factor
        self._used = 0
        self._buffer: EpisodeBuffer | None = None
        self.episodes = environment.max_episodes
        self.blank = replace(
            self.blank,
            units_max=environment.units(criterion.unit),
            population=environment.suite.spec.population,
            units=0,
        )
        self.copies = environment.copies_of_cases() if self._by_case else None
        try:
            self._prepare()
        except InputError as error:
            self.set_error(str(error))

    def _prepare(self) -> None:
        self.references = reference_policies(self._environment, self._criterion)
        sign, margin = DIRECTION_SIGNS[self.blank.direction], self._criterion.spec.margin or 0.0
        theta = sign * margin + 0.0 if self.references else self.blank.threshold
        assert theta is not None
        self.blank = replace(self.blank, threshold=theta)
        self._low, self._high = self._criterion.bounds or (0.0, 1.0)
        self._tests = {reference: self.new_test() for reference in self.references or [""]}
        self._units: list[np.ndarray] = []  # the variable of each unit, for the tests on the order of play
        self._keeps_values = self._metric.name not in RATIO_METRICS and self._metric.unit == "episode"
        self._valued: dict[str, list[np.ndarray]] = {reference: [] for reference in self._tests}  # bool for each unit
        self._missing = dict.fromkeys(["", *self._tests], 0)  # values that each policy lacks
        self._asked = 0  # values of the policy, those that are missing too
        self._seeds: list[int] = []
        self._values: list[float | None] = []

    def new_test(self) -> SequentialTest:
        """The test, without units."""
        theta = self.blank.threshold
        assert theta is not None
        units = {
            "alpha": self._environment.suite.spec.alpha,
            "direction": self.blank.direction,
            "population": self._environment.population(self._criterion.unit),
            "limit": self.blank.units_max,
        }
        against = bool(self.references)
        if self._metric.name in RATIO_METRICS:
            new: Callable[..., SequentialTest] = ratio_difference_test if against else RatioTest
            return new(self._metric.name, theta, longest=self._longest(), **units)
        bounds = self._low, self._high
        if self._metric.unit == "case":
            bounds = difference_bounds(*bounds, self._factor) if against else bounds
            return CaseMeanTest(theta, *bounds, longest=self._longest(), **units)  # type: ignore[arg-type]
        if against:
            return PairedTest(theta, *bounds, factor=self._factor, **units)  # type: ignore[arg-type]
        return MeanTest(theta, *bounds, **units)  # type: ignore[arg-type]

    def _longest(self) -> int:
        if self._by_case:
            return 1 if self.copies is None else self.copies.largest_weight
        longest = self._environment.longest
        if longest is None:
            raise InputError(
                f"{self._environment.config.name} does not say how many cases an episode can have, so "
                f"{self._metric.name} by evidence is not possible: set by: estimate"
            )
        return longest

    @property
    def settled(self) -> bool:
        """Whether more episodes would not change the decision."""
        if self.verdict is not None:
            return True
        decisions = [test.decision for test in self._tests.values()]
        return "FAIL" in decisions or "INCONCLUSIVE" not in decisions

    @property
    def missed(self) -> bool:
        """Whether the evidence, or an error, says that the policy does not pass."""
        if self.verdict is not None:
            return self.verdict.decision in ("FAIL", "ERROR")
        return any(test.decision == "FAIL" for test in self._tests.values())

    def _update(self, buffer: EpisodeBuffer, count: int) -> None:
        stop = min(count, self.episodes)
        if stop > self._used:
            start, self._used, self._buffer = self._used, stop, buffer
            self._add(buffer.between(start, stop), start, stop)

    def _add(self, episodes: Episodes, start: int, stop: int) -> None:
        if not self._by_case and not len(episodes):
            return
        policy = self._per_unit(episodes, "")
        for reference, test in self._tests.items():
            if not reference:
                test.extend(*policy)  # type: ignore[attr-defined]
                self._valued[reference].append(self._has_value(policy))
                continue
            of_reference = self._of_reference(reference, episodes, start, stop)
            if isinstance(test, CaseMeanTest):
                test.extend(policy[0] - self._factor * of_reference[0], policy[1])
            else:
                test.extend(*policy, *of_reference)  # type: ignore[attr-defined]
            self._valued[reference].append(self._has_value(policy) & self._has_value(of_reference))
        self._units.append(self._variable(policy))
        if self._keeps_values and len(policy) == 1:
            self._seeds += [int(seed) for seed in episodes.seeds]
            self._values += [None if np.isnan(value) else float(value) for value in policy[0]]

    def _of_reference(self, reference: str, episodes: Episodes, start: int, stop: int) -> tuple[Any, ...]:
        """What a test takes of a reference, on the episodes of the policy."""
        try:
            other = self._environment.reference(reference, self.under).between(start, stop)
            values = self._per_unit(other, reference)
        except InputError as error:
            raise InputError(f"the reference {reference}: {error}") from error
        if self._metric.unit == "case" and not np.array_equal(other.lengths, episodes.lengths):
            raise InputError(f"{reference} and the policy saw different numbers of cases: set by: estimate")
        return values

    def _has_value(self, values: tuple[Any, ...]) -> np.ndarray:
        """`[n]` whether each unit counts; only for metrics whose values can be missing it can be false."""
        if self._criterion.spec.missing != "ignore":
            return np.ones(0, bool)
        return ~np.isnan(values[0]) if len(values) == 1 else values[1] > 0

    def _filled(self, values: np.ndarray, policy: str) -> np.ndarray:
        """The values after `missing:` of the criterion; of the reference of that name, or of the judged policy."""
        self._missing[policy] += int(np.isnan(values).sum())
        self._asked += 0 if policy else len(values)
        return filled(self._criterion, self._metric, values, self._asked)

    def _per_unit(self, episodes: Episodes, policy: str) -> tuple[Any, ...]:
        """What a test takes of one policy: counts, sums and cases, or values; one per unit."""
        episode = np.arange(len(episodes.episode)) if self._by_case else episodes.episode
        weights = None if self.copies is None else self.copies.weights(episodes)
        count = len(episodes.episode) if self._by_case else len(episodes)
        if self._metric.name in RATIO_METRICS:
            outcome = episodes.outcome
            return (count_cases(self._metric.name, outcome["label"], outcome["flagged"], episode, weights, count),)
        values = np.asarray(self._metric.variable(episodes, self._environment.config), np.float64)  # type: ignore[misc]
        values = self._filled(values, policy)
        if self._clipped:
            values = np.clip(values, self._low, self._high)
        if self._metric.unit != "case":
            return (values,)
        if weights is None:
            weights = np.ones(len(values))
        weights, values = np.where(np.isnan(values), 0, weights), np.nan_to_num(values)
        sums = np.bincount(episode, weights=values * weights, minlength=count)
        return sums, np.bincount(episode, weights=weights, minlength=count)

    def _variable(self, policy: tuple[Any, ...]) -> np.ndarray:
        """`[n]` the value of each unit where the metric is defined."""
        if self._metric.name in RATIO_METRICS:
            hits, cases = np.asarray(policy[0].hits, float), np.asarray(policy[0].informative, float)
        elif len(policy) == 2:
            hits, cases = policy
        else:
            return policy[0][~np.isnan(policy[0])]
        return hits[cases > 0] / cases[cases > 0]

    def _finish(self) -> None:
        if all(test.result.estimate is None for test in self._tests.values()):
            if self._metric.name in RATIO_METRICS:
                raise InputError(undefined_reason(self._metric.name))
            raise InputError(f"{self._metric.name} is undefined on all {self._used} episodes played")
        verdicts = [self._verdict_against(reference, test) for reference, test in self._tests.items()]
        verdict = min(verdicts, key=lambda verdict: (_ORDER[verdict.decision], verdict.lead))
        if self._buffer is not None:
            played = self._buffer.between(0, self._used)
            worst = worst_episodes(self._metric, played, self._environment.config, verdict.direction)
            verdict = replace(verdict, worst=worst)
        self.verdict = verdict

    def _verdict_against(self, reference: str, test: SequentialTest) -> CriterionVerdict:
        blank = replace(self.blank, reference=reference or None)
        if reference:
            blank = replace(blank, metric=f"{blank.metric} minus {times(blank.factor)}that of {reference}")
        change = change_in_play(np.concatenate(self._units), self._environment.suite.gate_seed)
        used_up = self._environment.plays_whole_set and self._used >= self.episodes
        verdict = decide_by_evidence(
            blank,
            self._counted(reference, test.result),
            test.theta,
            history=test.history,
            change=change,
            used_up=used_up,
        )
        detail = verdict.detail + self._missing_note(reference)
        detail += self._copies_note(compared=bool(reference)) + self._groups_note(reference)
        played = PlayedUnits(tuple(self._seeds[:MAX_UNITS]), tuple(self._values[:MAX_UNITS])) if self._values else None
        return replace(verdict, metric=self.blank.metric, detail=detail, played=played)

    def _counted(self, reference: str, result: EvidenceResult) -> EvidenceResult:
        """The result, where units without a value that the suite ignores do not count as played."""
        if self._criterion.spec.missing != "ignore":
            return result
        valued = np.cumsum(np.concatenate(self._valued[reference]))
        at = None if result.decided_at is None else int(valued[result.decided_at - 1])
        return replace(result, units=int(valued[-1]), decided_at=at)

    def _missing_note(self, reference: str) -> str:
        if self._criterion.spec.missing == "ignore":
            valued = np.concatenate(self._valued[reference])
            return missing_note(self._criterion, int((~valued).sum()), len(valued))
        note = missing_note(self._criterion, self._missing[""], self._asked)
        if reference:
            note += missing_note(self._criterion, self._missing[reference], self._asked, f" of {reference}")
        return note

    def _copies_note(self, *, compared: bool) -> str:
        """How many cases are distinct, and the figure over all rows."""
        if self.copies is None:
            return ""
        note = f"; {self.copies.distinct:,} of {len(self.copies.weight):,} cases are distinct"
        if not compared and self._buffer is not None:
            over_rows = self._metric.compute(self._buffer.between(0, self._used), self._environment.config)
            note += f", {self._metric.name} over all of them is {number(float(over_rows))}"
        return note

    def _groups_note(self, reference: str) -> str:
        """The mean of each group of units, compared with that of the reference."""
        if self._metric.groups is None or self._metric.variable is None or self._buffer is None:
            return ""
        played = self._buffer.between(0, self._used)
        means = self._means_of_groups(played)
        if not reference:
            rows = [(mean, f"{name} {number(mean)}") for name, mean in means.items()]
        else:
            others = self._means_of_groups(self._environment.reference(reference, self.under).between(0, self._used))
            rows = [
                (mean - self._factor * others[name], f"{name} {number(mean)} against {number(others[name])}")
                for name, mean in means.items()
            ]
        rows.sort(key=lambda row: row[0] * DIRECTION_SIGNS.get(self.blank.direction, 1.0))
        which = "" if len(rows) <= MAX_GROUPS else f"the worst {MAX_GROUPS} of {len(rows)}: "
        return f"; {which}{', '.join(text for _, text in rows[:MAX_GROUPS])}"

    def _means_of_groups(self, episodes: Episodes) -> dict[str, float]:
        config = self._environment.config
        values = np.asarray(self._metric.variable(episodes, config), np.float64)  # type: ignore[misc]
        groups = self._metric.groups(episodes, config)  # type: ignore[misc]
        return {name: float(values[units].mean()) for name, units in groups.items()}
