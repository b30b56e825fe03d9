"""Criteria `by: estimate`: the plain number over a fixed count of episodes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from rl_eval.errors import InputError
from rl_eval.formatting import number, quantity
from rl_eval.gates.criterion import Criterion
from rl_eval.gates.criterion_check import CriterionCheck, describe_reference, reference_policies, reference_values
from rl_eval.gates.episode_buffer import EpisodeBuffer
from rl_eval.gates.missing_values import missing_note, plain_value
from rl_eval.gates.suite_environment import SuiteEnvironment
from rl_eval.gates.verdict import DIRECTION_SIGNS, CriterionVerdict, decide_by_estimate
from rl_eval.gates.worst_episodes import worst_episodes
from rl_eval.metrics import Metric


class EstimateCheck(CriterionCheck):
    """The plain number over a fixed count of episodes.

    Attributes:
        value: of the metric; None until the episodes are played, or where it is undefined.
    """

    def __init__(self, environment: SuiteEnvironment, criterion: Criterion, metric: Metric | None = None) -> None:
        super().__init__(environment.suite, criterion)
        self._environment, self._criterion = environment, criterion
        self._metric = metric or criterion.metric
        self.episodes = environment.fixed_episodes
        self.value: float | None = None

    @property
    def settled(self) -> bool:
        """Whether the fixed episodes were played."""
        return self.verdict is not None

    @property
    def missed(self) -> bool:
        """Whether the number does not pass."""
        return self.verdict is not None and self.verdict.decision != "PASS"

    def _update(self, buffer: EpisodeBuffer, count: int) -> None:
        if count < self.episodes:
            return
        episodes = buffer.between(0, self.episodes)
        units = len(episodes.episode) if self._metric.unit == "case" else len(episodes)
        self.blank = replace(self.blank, units=units, units_max=units)
        self.value, missing = plain_value(self._criterion, self._metric, episodes, self._environment.config)
        if self._criterion.spec.missing == "ignore":
            self.blank = replace(self.blank, units=units - missing)
        over = f" over {quantity(self.blank.units or 0, self._metric.unit)}"
        if self._criterion.spec.better_than is not None:
            references = reference_policies(self._environment, self._criterion)
            self.verdict = self._against(references, self.value, over)
        elif self.blank.threshold is not None:
            self.verdict = decide_by_estimate(self.blank, self.value, self.blank.threshold, over)
        if self.verdict is not None and self._metric.kind == "task":
            note = missing_note(self._criterion, missing, units)
            self.verdict = replace(self.verdict, detail=self.verdict.detail + note)
            worst = worst_episodes(self._metric, episodes, self._environment.config, self.verdict.direction)
            self.verdict = replace(self.verdict, worst=worst)

    def _finish(self) -> None:
        raise InputError(f"fewer than {self.episodes} episodes were played")

    def _against(self, references: Sequence[str], value: float, over: str) -> CriterionVerdict:
        values = reference_values(
            self._environment, self._criterion, self._metric, references, self.episodes, self.under
        )
        sign, factor = DIRECTION_SIGNS[self.blank.direction], self.blank.factor
        margin = self._criterion.spec.margin or 0.0
        best = max(values, key=lambda spec: sign * values[spec])
        if factor is not None and values[best] < 0:
            raise InputError(
                f"{best} has a {self._metric.name} of {number(values[best])}, but factor needs a value that is not "
                "negative: use margin instead"
            )
        bar = values[best] * (1.0 if factor is None else factor) + sign * margin
        verdict = decide_by_estimate(self.blank, value, bar, over)
        detail = verdict.detail + describe_reference(best, values[best], factor, margin)
        return replace(verdict, reference=best, detail=detail)
