"""Where those that a suite judges play: one arena a place of data, so that what several need is played once."""

from __future__ import annotations

from collections.abc import Iterator

from rl_eval.gates.arena import Arena, OnEpisodes, environment_to_judge
from rl_eval.gates.schema import Suite
from rl_eval.gates.selection import BarePolicy
from rl_eval.run import Run

Judged = Run | BarePolicy


class Arenas:
    """The arenas of one suite, made as they are asked for."""

    def __init__(self, suite: Suite, trust: bool, on_episodes: OnEpisodes | None) -> None:
        self._suite, self._trust, self._on_episodes = suite, trust, on_episodes
        self._made: dict[str, Arena] = {}

    def of(self, run: Judged) -> Arena:
        """The arena of a run, or of a policy alone.

        Raises:
            InputError: its data is gone or has changed, or the environment cannot be made.
        """
        env = environment_to_judge(self._suite, run) if isinstance(run, Run) else self._suite.judged
        key = env.model_dump_json()
        if key not in self._made:
            self._made[key] = Arena(self._suite, env, self._trust, self._on_episodes)
        return self._made[key]

    def __iter__(self) -> Iterator[Arena]:
        return iter(self._made.values())

    def close(self) -> None:
        """Close them all."""
        for arena in self:
            arena.close()
