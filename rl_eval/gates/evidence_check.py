"""Criteria `by: evidence`: played until chance is ruled out, or the episodes are used up."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import replace

import numpy as np

from rl_eval.errors import InputError
from rl_eval.evidence import MeanTest, PairedTest, RatioTest, count_cases, undefined_reason
from rl_eval.gates.criterion_check import CriterionCheck, describe_reference, reference_policies, reference_values
from rl_eval.gates.episode_buffer import EpisodeBuffer
from rl_eval.gates.suite import Criterion
from rl_eval.gates.suite_environment import SuiteEnvironment
from rl_eval.gates.verdict import DIRECTION_SIGNS, decide_by_evidence
from rl_eval.rollout import Episodes


class _EvidenceCheck(CriterionCheck):
    """Base class of both checks by evidence: new episodes, and the largest number of units."""

    def __init__(self, environment: SuiteEnvironment, criterion: Criterion, clipped: bool) -> None:
        super().__init__(environment.suite, criterion)
        self._environment, self._criterion, self._clipped = environment, criterion, clipped
        self._metric, self._by_case = criterion.metric, criterion.unit == "case"
        self._used = 0
        self.episodes = environment.max_episodes
        self.blank = replace(
            self.blank,
            units_max=environment.units(criterion.unit),
            population=environment.suite.spec.population,
            units=0,
        )
        try:
            self._prepare()
        except InputError as error:
            self.set_error(str(error))

    def _update(self, buffer: EpisodeBuffer) -> None:
        stop = min(buffer.count, self.episodes)
        if stop > self._used:
            start, self._used = self._used, stop
            self._add(buffer.between(start, stop), start, stop)

    @abstractmethod
    def _prepare(self) -> None: ...

    @abstractmethod
    def _add(self, episodes: Episodes, start: int, stop: int) -> None: ...

    def _longest(self) -> int:
        if self._by_case:
            return 1
        longest = self._environment.longest
        if longest is None:
            raise InputError(
                f"{self._environment.config.name} does not say how many cases an episode can hold, "
                f"so {self._metric.name} by evidence is not possible: say by: estimate"
            )
        return longest


class RatioEvidenceCheck(_EvidenceCheck):
    """F1, precision, recall, false-positive rate or accuracy; a reference sets the threshold by its exact value."""

    def _prepare(self) -> None:
        theta, self._note = self.blank.threshold, ""
        if self._criterion.spec.better_than is not None:
            references = reference_policies(self._environment, self._criterion)
            values = reference_values(self._environment, self._metric, references, len(self._environment.seeds))
            sign, margin = DIRECTION_SIGNS[self.blank.direction], self._criterion.spec.margin or 0.0
            best = max(values, key=lambda spec: sign * values[spec])
            theta, self._note = values[best] + sign * margin, describe_reference(best, values[best], margin)
            self.blank = replace(self.blank, reference=best, threshold=theta)
        assert theta is not None
        self._test = RatioTest(
            self._metric.name,
            theta,
            self._environment.suite.spec.alpha,
            self.blank.direction,  # type: ignore[arg-type]
            self._environment.population(self._criterion.unit),
            self._longest(),
        )

    def _add(self, episodes: Episodes, start: int, stop: int) -> None:
        outcome, episode = episodes.outcome, None if self._by_case else episodes.episode
        result = self._test.extend(count_cases(self._metric.name, outcome["label"], outcome["flagged"], episode))
        if result.decision != "INCONCLUSIVE":
            self._finish()

    def _finish(self) -> None:
        result = self._test.result
        if result.estimate is None:
            raise InputError(undefined_reason(self._metric.name))
        self.verdict = decide_by_evidence(self.blank, result, self._test.theta, self._note, self._test.history)


class MeanEvidenceCheck(_EvidenceCheck):
    """The mean of a bounded variable; against references, of the difference on the same seeds."""

    def _prepare(self) -> None:
        assert self._criterion.bounds is not None
        self._low, self._high = self._criterion.bounds
        self._whole_episodes = self._metric.unit == "case" and not self._by_case
        self._references = reference_policies(self._environment, self._criterion)
        sign, margin = DIRECTION_SIGNS[self.blank.direction], self._criterion.spec.margin or 0.0
        theta = sign * margin + 0.0 if self._references else self.blank.threshold
        assert theta is not None
        self._theta = theta
        self.blank = replace(self.blank, threshold=self._theta)
        self._tests = {spec: self._new_test() for spec in self._references or [""]}
        self._units = 0

    def _new_test(self) -> MeanTest:
        direction, alpha = self.blank.direction, self._environment.suite.spec.alpha
        population = self._environment.population(self._criterion.unit)
        if not self._references:
            return MeanTest(self._theta, self._low, self._high, alpha, direction, population)  # type: ignore[arg-type]
        if self._whole_episodes:
            width = self._high - self._low
            return MeanTest(self._theta, -width, width, alpha, direction, population)  # type: ignore[arg-type]
        return PairedTest(self._theta, self._low, self._high, alpha, direction, population)  # type: ignore[arg-type]

    def _add(self, episodes: Episodes, start: int, stop: int) -> None:
        values = self._values(episodes)
        self._units += len(values)
        if not len(values):  # the metric is not defined on any of these
            return
        for spec, test in self._tests.items():
            if not spec:
                test.extend(self._per_unit(values, episodes))
                continue
            try:
                reference = self._environment.reference(spec).between(start, stop)
            except InputError as error:
                raise InputError(f"the reference {spec}: {error}") from error
            if self._metric.unit == "case" and not np.array_equal(reference.lengths, episodes.lengths):
                raise InputError(f"{spec} and the policy saw different numbers of cases: say by: estimate")
            of_reference = self._values(reference)
            if isinstance(test, PairedTest):
                test.extend(values, of_reference)
            else:
                test.extend(self._per_unit(values - of_reference, episodes))
        decisions = [test.result.decision for test in self._tests.values()]
        if "FAIL" in decisions or "INCONCLUSIVE" not in decisions:
            self._finish()

    def _values(self, episodes: Episodes) -> np.ndarray:
        values = np.asarray(self._metric.variable(episodes, self._environment.config), np.float64)  # type: ignore[misc]
        return np.clip(values, self._low, self._high) if self._clipped else values

    def _per_unit(self, values: np.ndarray, episodes: Episodes) -> np.ndarray:
        if not self._whole_episodes:
            return values
        # θ + Σ(x−θ)/L an episode of up to L cases: its mean is above θ exactly when that over all cases is
        summed = np.bincount(episodes.episode, weights=values - self._theta, minlength=len(episodes))
        return self._theta + summed / self._longest()

    def _finish(self) -> None:
        if not self._units:
            raise InputError(f"{self._metric.name} is undefined on every one of the {self._used} episodes played")
        order = {"FAIL": 0, "INCONCLUSIVE": 1, "PASS": 2}
        verdicts = []
        for spec, test in self._tests.items():
            blank = replace(self.blank, reference=spec or None)
            if spec:
                blank = replace(blank, metric=f"{blank.metric} minus that of {spec}")
            verdict = decide_by_evidence(blank, test.result, self._theta, history=test.history)
            verdicts.append(replace(verdict, metric=self._metric.name))
        self.verdict = min(verdicts, key=lambda verdict: (order[verdict.decision], verdict.lead))
