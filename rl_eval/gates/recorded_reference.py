"""Criteria against a release whose values are recorded, seed by seed, so that its policy need not play again."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from rl_eval.gates.compared import PlayedUnits
from rl_eval.gates.criterion import Criterion
from rl_eval.gates.evidence_check import EvidenceCheck
from rl_eval.gates.suite_environment import SuiteEnvironment
from rl_eval.rollout import Episodes


class RecordedReferenceCheck(EvidenceCheck):
    """The difference to values of the same seeds; it uses the first episodes for which there are some."""

    def __init__(self, environment: SuiteEnvironment, criterion: Criterion, played: PlayedUnits) -> None:
        self._recorded = {
            seed: np.nan if value is None else value for seed, value in zip(played.seeds, played.values, strict=True)
        }
        super().__init__(environment, criterion, clipped=False)

    def _prepare(self) -> None:
        seeds = self._environment.seeds[: self.episodes]
        self.episodes = next((i for i, seed in enumerate(seeds) if seed not in self._recorded), len(seeds))
        self.blank = replace(self.blank, units_max=self.episodes)
        super()._prepare()

    def _finish(self) -> None:
        super()._finish()
        assert self.verdict is not None
        if self.verdict.decision == "INCONCLUSIVE" and self.episodes < self._environment.max_episodes:
            note = f"; the release has values of {self.episodes:,} episodes: judge it again with a larger episodes.min"
            self.verdict = replace(self.verdict, detail=self.verdict.detail + note)

    def _of_reference(self, reference: str, episodes: Episodes, start: int, stop: int) -> tuple[Any, ...]:
        values = np.array([self._recorded[int(seed)] for seed in episodes.seeds], np.float64)
        return (self._filled(values, reference),)
