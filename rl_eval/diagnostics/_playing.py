"""The judged policy on episodes that no gate plays, with what it saw.

Where a finite part of the data is kept for selection, that part is played; elsewhere episodes of a random stream
of their own, `doctor`. Looking at either says nothing of a gate's held-out set.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from rl_eval import domains, policy, seeding
from rl_eval.domains import EnvConfig
from rl_eval.errors import InputError
from rl_eval.rollout import Episodes
from rl_eval.rollout import play as play_episodes

EPISODES = 5
SHIFTS = 50  # of a finite part
MOST_STEPS = 2_000  # of one copy
MOST_VALUES = 20_000_000  # of observations, all steps and columns together


@dataclass(frozen=True)
class Played:
    """Episodes of the judged policy.

    Attributes:
        observations: `[S, D]` what it saw at each step of `episodes`, in their order.
        acting: the policy itself.
    """

    config: EnvConfig
    episodes: Episodes = field(repr=False)
    observations: np.ndarray = field(repr=False)
    acting: policy.Policy = field(repr=False)


class _Watching:
    """A policy that remembers what it saw, and refuses to act without end."""

    def __init__(self, acting: policy.Policy):
        self._acting, self._values = acting, 0
        self._seen: list[np.ndarray] = []

    def act(self, obs: np.ndarray, greedy: bool, mask: np.ndarray | None = None) -> np.ndarray:
        """As the policy."""
        self._seen.append(np.array(obs, np.float32).reshape(len(obs), -1))
        self._values += self._seen[-1].size
        if len(self._seen) > MOST_STEPS or self._values > MOST_VALUES:
            raise InputError(f"an episode took more than {len(self._seen) - 1:,} steps")
        return policy.choose_actions(self._acting, obs, greedy, mask)

    def observations(self, lengths: np.ndarray) -> np.ndarray:
        """`[S, D]`, where copy i played episode i of `lengths[i]` steps and no other."""
        seen = np.stack(self._seen)
        return np.concatenate([seen[:length, copy] for copy, length in enumerate(lengths)])


def play(path: Path, config: EnvConfig, seed: int, *, greedy: bool = True) -> Played:
    """Play the policy that gates judge.

    Raises:
        InputError: it cannot be played here: missing data, a damaged snapshot, episodes without end.
    """
    limit = domains.domain(config.name).episodes(config, "validation")
    seeds = seeding.episode_seeds(seed, EPISODES, "doctor") if limit is None else list(range(min(limit, SHIFTS)))
    config = domains.domain(config.name).in_one_process(config)
    vector = domains.make(config, n_envs=len(seeds), part="validation", autoreset=False)
    try:
        spaces = policy.Spaces.of(config, vector)
        # an absolute path, which no kind of policy begins with
        acting = policy.load(str(path.resolve()), spaces, config, seed=seed)
        watching = _Watching(acting)
        episodes = play_episodes(vector, watching, seeds=seeds, greedy=greedy, order=seed)
    finally:
        vector.close()
    return Played(config, episodes, watching.observations(episodes.lengths), acting)
