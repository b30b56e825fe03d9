"""Play the judged policy of a run, the one that gates judge, on episodes that the caller chooses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium.vector import VectorEnv

from rl_eval import domains, policy, seeding
from rl_eval.domains import EnvConfig
from rl_eval.errors import InputError
from rl_eval.rollout import Episodes, play

MAX_PART_EPISODES = 50  # of a finite validation part
MAX_RECORDED_VALUES = 20_000_000  # of observations, all steps and columns together


@dataclass(frozen=True)
class JudgedPlay:
    """Episodes of the judged policy.

    Attributes:
        config: the environment, stepped by one process.
        policy: the judged policy. It acted on `copies` observations at a time.
        observations: `[S, D]` float32, what the policy saw at each step of `episodes`; empty unless recorded.
        baselines: name -> the same episodes, played by another policy.
    """

    config: EnvConfig
    policy: policy.Policy = field(repr=False)
    copies: int
    episodes: Episodes = field(repr=False)
    observations: np.ndarray = field(repr=False)
    baselines: Mapping[str, Episodes] = field(default_factory=dict, repr=False)


def load(directory: Path, config: EnvConfig, vector: VectorEnv, *, seed: int = 0) -> policy.Policy:
    """The judged policy of a run, for an environment.

    Args:
        seed: of sampled actions.

    Raises:
        InputError: the run has no such policy, it is damaged, or it does not fit the environment.
    """
    # An absolute path never starts with a kind of policy, such as `python:`.
    return policy.load(str(directory.resolve()), policy.Spaces.of(config, vector), config, seed=seed)


def validation_seeds(config: EnvConfig, *, seed: int, purpose: str, count: int) -> list[int]:
    """Episodes for looking at a policy, which say nothing about the test set of a gate.

    A finite validation part is played itself, up to 50 episodes. Elsewhere the seeds come from a random stream.

    Args:
        seed: of the run.
        purpose: names the random stream.
        count: episodes of the random stream.
    """
    limit = domains.domain(config.name).episodes(config, "validation")
    if limit is None:
        return seeding.episode_seeds(seed, count, purpose)
    return list(range(min(limit, MAX_PART_EPISODES)))


def play_judged_policy(
    directory: Path,
    config: EnvConfig,
    *,
    seeds: Sequence[int],
    seed: int,
    max_steps: int,
    greedy: bool = True,
    max_copies: int | None = None,
    record_observations: bool = False,
    baselines: Mapping[str, policy.Policy] | None = None,
) -> JudgedPlay:
    """Play the judged policy of a run on the validation part.

    Args:
        seeds: one for each episode, or the indices of a finite part.
        seed: of the run; decides the order of a finite part, and sampled actions.
        max_steps: the most calls of the policy.
        max_copies: the most episodes at the same time; None: all. With recorded observations, all.
        baselines: policies that play the same episodes.

    Raises:
        InputError: it cannot be played: missing data, a damaged snapshot, too many steps.
    """
    config = domains.domain(config.name).in_one_process(config)
    copies = min(len(seeds), max_copies or len(seeds))
    vector = domains.make(config, n_envs=copies, part="validation", autoreset=False)
    try:
        judged = load(directory, config, vector, seed=seed)
        limited = LimitedPolicy(judged, max_steps, record_observations=record_observations)
        episodes = play(vector, limited, seeds=seeds, greedy=greedy, order=seed)
        baseline_episodes = {
            name: play(vector, baseline, seeds=seeds, order=seed) for name, baseline in (baselines or {}).items()
        }
    finally:
        vector.close()
    observations = limited.observations(episodes.lengths) if record_observations else np.zeros((0, 0), np.float32)
    return JudgedPlay(config, judged, copies, episodes, observations, baseline_episodes)


class LimitedPolicy:
    """A policy that acts only so often, so that an episode without end becomes an error; it can record observations."""

    def __init__(self, unlimited: policy.Policy, max_steps: int, *, record_observations: bool = False):
        self._policy, self._max_steps, self._steps = unlimited, max_steps, 0
        self._record, self._recorded, self._recorded_values = record_observations, list[np.ndarray](), 0

    def __getattr__(self, name: str) -> Any:
        """Other attributes of the policy, such as `probabilities`."""
        return getattr(self._policy, name)

    def act(
        self,
        obs: np.ndarray,
        greedy: bool,
        mask: np.ndarray | None = None,
        episode_start: np.ndarray | None = None,
    ) -> np.ndarray:
        """The actions of the policy.

        Raises:
            InputError: it has acted too often.
        """
        self._steps += 1
        if self._record:
            self._recorded.append(np.array(obs, np.float32).reshape(len(obs), -1))
            self._recorded_values += self._recorded[-1].size
        if self._steps > self._max_steps or self._recorded_values > MAX_RECORDED_VALUES:
            raise InputError(f"the episodes took more than {self._steps - 1:,} steps")
        return policy.choose_actions(self._policy, obs, greedy, mask, episode_start)

    def observations(self, lengths: np.ndarray) -> np.ndarray:
        """`[S, D]` the recorded observations, where copy i played only episode i, for `lengths[i]` steps."""
        recorded = np.stack(self._recorded)
        return np.concatenate([recorded[:length, copy] for copy, length in enumerate(lengths)])
