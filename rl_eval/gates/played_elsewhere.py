"""Judge episodes that were played elsewhere: by the same evidence, without what only playing can check."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from rl_eval.domains import domain
from rl_eval.errors import InputError
from rl_eval.formatting import quantity
from rl_eval.gates.case_copies import CaseCopies
from rl_eval.gates.episode_buffer import EpisodeBuffer
from rl_eval.gates.episode_file import REFERENCE, read_episode_file
from rl_eval.gates.selection import PlayedEpisodes
from rl_eval.gates.suite import Suite
from rl_eval.gates.verdict import CriterionVerdict, item_verdict
from rl_eval.policy import Perturbation

NOT_PLAYED = "the episodes were played elsewhere"
_NOT_CHECKED = {
    "controls": f"{NOT_PLAYED}, so no useless policy played them",
    "attainable": f"{NOT_PLAYED}, so no other policy played them",
    "held_out": f"{NOT_PLAYED}: their seeds, what the policy was trained on, and whether rows are missing are unknown",
}


class PlayedEnvironment:
    """What checks need of an environment, where the episodes are in a file.

    All of them count, unless the suite says how many. They are used in the order of the file.

    Raises:
        InputError: the file cannot be read, a row is not valid, or it lacks what a criterion reads.
    """

    def __init__(self, suite: Suite, judged: PlayedEpisodes) -> None:
        self.suite, self.config = suite, suite.judged
        self._file = read_episode_file(Path(judged.file))
        where = domain(self.config.name)
        if where.has_cases:
            raise InputError(f"{where.name} judges cases of its data: judge a policy on them, not {judged.path}")
        self._facts = where.facts(self.config)
        for criterion in suite.criteria:
            if criterion.metric.kind == "task":
                self._file.require(criterion.metric.needs)
                if criterion.metric.name == "mean_length":
                    self._file.require(("length",))
        count, spec = len(self._file), suite.spec.episodes
        self.fixed_episodes, self.max_episodes = min(spec.fixed or count, count), min(spec.max or count, count)
        self.min_episodes = min(spec.min or count, self.max_episodes)
        self.seeds = list(range(count))
        self.plays_whole_set = self.max_episodes == count  # so that another `episodes.max` adds none

    @cached_property
    def _reference(self) -> EpisodeBuffer:
        return EpisodeBuffer(iter([self._file.episodes(self._facts, reference=True)]))

    def play(self, spec: str, label: str, episodes: int, *, under: Perturbation | None = None) -> EpisodeBuffer:
        """The episodes of the file.

        Raises:
            InputError: they were to be played with perturbed observations.
        """
        if under is not None:
            raise InputError(f"{NOT_PLAYED}, so nothing is known under {under}: remove the criterion")
        return EpisodeBuffer(iter([self._file.episodes(self._facts)]))

    def reference(self, spec: str, under: Perturbation | None = None) -> EpisodeBuffer:
        """The episodes of the reference column.

        Raises:
            InputError: another policy is named, which cannot play, or there is no such column.
        """
        if spec != REFERENCE:
            raise InputError(
                f"it cannot play, since {NOT_PLAYED}: write better_than: {REFERENCE}, and its results in the column "
                f"{REFERENCE!r}"
            )
        return self._reference

    def expand(self, spec: str) -> list[str]:
        """A policy by its own name."""
        return [spec]

    def units(self, unit: str) -> int:
        """How many units evidence may use: an episode is one row."""
        return self.max_episodes

    def population(self, unit: str) -> None:
        """Evidence is about future episodes."""

    def copies_of_cases(self) -> CaseCopies | None:
        """Nobody knows which rows are copies."""

    @property
    def longest(self) -> int:
        """The most cases in one episode."""
        return 1

    def describe(self) -> str:
        """What is judged, as a line of the verdict."""
        return f"{quantity(len(self._file), 'episode')} of {self._file.path}, played elsewhere"


def unchecked_items(suite: Suite) -> Iterator[CriterionVerdict]:
    """The verdicts of `controls` and the like, which need play."""
    for item, reason in _NOT_CHECKED.items():
        if item in suite.items:
            yield replace(item_verdict(suite.name, item), decision="NOT_CHECKED", detail=reason)
