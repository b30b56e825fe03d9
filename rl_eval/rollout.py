"""Play episodes with a policy and record their facts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from gymnasium.vector import VectorEnv

from rl_eval.policy import Policy


@dataclass(frozen=True)
class Episodes:
    """E episodes in the order of their seeds, S steps in all.

    Attributes:
        seeds: `[E]` the environment seed (endless environments) or the index (finite sets) of each.
        lengths: `[E]` steps of each.
        terminated: `[E]` whether each ended in a terminal state rather than by truncation.
        episode: `[S]` the episode of each step.
        outcome: name -> `[S]` the facts of each step.
        first_obs: `[E, ...]` the first observation of each.
    """

    seeds: np.ndarray
    lengths: np.ndarray
    terminated: np.ndarray
    episode: np.ndarray
    outcome: dict[str, np.ndarray] = field(repr=False)
    first_obs: np.ndarray = field(repr=False)

    def __len__(self) -> int:
        return len(self.lengths)

    def per_episode(self, name: str) -> np.ndarray:
        """`[E]` the sum over each episode of one outcome."""
        return np.bincount(self.episode, weights=self.outcome[name], minlength=len(self))


def play(
    envs: VectorEnv,
    policy: Policy,
    *,
    seeds: Sequence[int],
    greedy: bool = True,
    order: int = 0,
    on_episodes: Callable[[int], None] | None = None,
) -> Episodes:
    """Play one episode a seed on copies made with `autoreset=False`.

    A copy that finishes takes the next seed, so no copy waits for another; the records are put back
    in the order of the seeds.

    Args:
        seeds: one an episode.
        greedy: the policy's most likely action, or a sample.
        order: for a finite gate set, the seed of the permutation that the episodes walk through.
        on_episodes: called with the number of episodes finished so far.

    Raises:
        ValueError: no seeds.
    """
    total, n = len(seeds), envs.num_envs
    if total == 0:
        raise ValueError("play() needs at least one seed")
    playing = np.full(n, -1)  # which episode each copy plays
    playing[: min(n, total)] = np.arange(min(n, total))
    started = min(n, total)
    seed_of = np.asarray(seeds, dtype=np.int64)

    def start(mask: np.ndarray) -> np.ndarray:
        index = np.maximum(playing, 0)
        options = {"reset_mask": mask, "episode": index, "order": order}
        observations, _ = envs.reset(seed=[int(s) for s in seed_of[index]], options=options)  # type: ignore[arg-type]
        return observations

    active = playing >= 0
    obs = start(active)
    first_obs = np.zeros((total, *obs.shape[1:]), obs.dtype)
    first_obs[playing[active]] = obs[active]
    lengths, ended = np.zeros(total, np.int64), np.zeros(total, bool)
    steps_episode: list[np.ndarray] = []
    steps_outcome: dict[str, list[np.ndarray]] = {}
    finished = 0
    while active.any():
        obs, _, terminated, truncated, infos = envs.step(policy.act(obs, greedy))
        steps_episode.append(playing[active])
        for name, values in infos["outcome"].items():
            steps_outcome.setdefault(name, []).append(np.asarray(values)[active])
        lengths[playing[active]] += 1
        done = (terminated | truncated) & active
        if done.any():
            ended[playing[done]] = terminated[done]
            finished += int(done.sum())
            copies = np.flatnonzero(done)
            fresh = copies[: total - started]
            playing[copies] = -1
            playing[fresh] = np.arange(started, started + len(fresh))
            started += len(fresh)
            active = playing >= 0
            if len(fresh):
                mask = np.zeros(n, bool)
                mask[fresh] = True
                obs = start(mask)
                first_obs[playing[fresh]] = obs[fresh]
            if on_episodes:
                on_episodes(finished)
    episode = np.concatenate(steps_episode)
    by_episode = np.argsort(episode, kind="stable")
    outcome = {name: np.concatenate(parts)[by_episode] for name, parts in steps_outcome.items()}
    return Episodes(seed_of, lengths, ended, episode[by_episode], outcome, first_obs)
