"""Criteria that compare the plain number over a fixed count of episodes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from rl_eval.errors import InputError
from rl_eval.gates.arena import Arena
from rl_eval.gates.schema import Criterion
from rl_eval.gates.tape import Tape
from rl_eval.gates.trial import Trial, known, references_of, values_of
from rl_eval.gates.verdict import SIGNS, CriterionVerdict, decide
from rl_eval.metrics import Metric


class Estimate(Trial):
    """The plain number over a fixed count of episodes.

    Attributes:
        value: of the metric; None until it is known, or where it has none.
    """

    def __init__(self, arena: Arena, criterion: Criterion, metric: Metric | None = None) -> None:
        super().__init__(arena.suite, criterion)
        self._arena, self._criterion = arena, criterion
        self._metric = metric or criterion.metric
        self.episodes = arena.fixed
        self.value: float | None = None

    def _take(self, tape: Tape) -> None:
        if tape.played < self.episodes:
            return
        episodes = tape.between(0, self.episodes)
        units = len(episodes.episode) if self._metric.unit == "case" else len(episodes)
        self.blank = replace(self.blank, units=units, units_max=units)
        self.value = float(self._metric.compute(episodes, self._arena.env))
        over = f" over {units:,} {self._metric.unit}s"
        if self._criterion.spec.better_than is not None:
            self.verdict = self._against(references_of(self._arena, self._criterion), over)
        elif self.blank.threshold is not None:
            self.verdict = decide(self.blank, self.value, self.blank.threshold, over)

    def _conclude(self) -> None:
        raise InputError(f"only fewer than {self.episodes} episodes were played")

    def _against(self, references: Sequence[str], over: str) -> CriterionVerdict:
        values = values_of(self._arena, self._metric, references, self.episodes)
        sign, margin = SIGNS[self.blank.direction], self._criterion.spec.margin or 0.0
        best = max(values, key=lambda spec: sign * values[spec])
        assert self.value is not None
        verdict = decide(self.blank, self.value, values[best] + sign * margin, over)
        return replace(verdict, reference=best, detail=verdict.detail + known(best, values[best], margin))
