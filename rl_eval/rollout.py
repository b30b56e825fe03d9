"""Play episodes with a policy and record their facts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import gymnasium as gym
import numpy as np
from gymnasium.vector import VectorEnv

from rl_eval.envs import RankingVector
from rl_eval.envs.returned_values import VectorChecks
from rl_eval.envs.space_values import legal_parts
from rl_eval.errors import InputError, failure
from rl_eval.policy import Policy, choose_actions, scores

MAX_EPISODE_STEPS = 1_000_000  # an episode that is longer is taken to have no end
CHECK_EVERY = 1_000  # steps


class PolicyFailure(InputError):  # noqa: N818 - it says who failed
    """The policy raised; the sentence has the innermost line of its traceback."""


class EnvironmentFailure(InputError):  # noqa: N818 - it says who failed
    """The environment raised; the sentence has the innermost line of its traceback."""


@dataclass(frozen=True)
class Episodes:
    """E episodes in the order of their seeds, S steps in all.

    Attributes:
        seeds: `[E]` the environment seed (endless environments) or the index (finite sets) of each.
        lengths: `[E]` steps of each.
        terminated: `[E]` whether each ended in a terminal state rather than by truncation.
        episode: `[S]` the episode of each step, from 0, in order.
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

    def between(self, start: int, stop: int) -> Episodes:
        """The episodes from `start` up to but not including `stop`."""
        if start == 0 and stop >= len(self):
            return self
        rows = slice(*np.searchsorted(self.episode, (start, stop)))
        outcome = {name: values[rows] for name, values in self.outcome.items()}
        part = slice(start, stop)
        return Episodes(
            self.seeds[part],
            self.lengths[part],
            self.terminated[part],
            self.episode[rows] - start,
            outcome,
            self.first_obs[part],
        )

    def keep(self, mask: np.ndarray) -> Episodes:
        """The same episodes without some of their steps, bool `[S]`; `lengths` stay those that were played."""
        outcome = {name: values[mask] for name, values in self.outcome.items()}
        return replace(self, episode=self.episode[mask], outcome=outcome)


def join(parts: Sequence[Episodes]) -> Episodes:
    """Episodes one after the other as one; at least one part."""
    if len(parts) == 1:
        return parts[0]
    before = np.cumsum([0, *(len(part) for part in parts[:-1])])
    return Episodes(
        np.concatenate([part.seeds for part in parts]),
        np.concatenate([part.lengths for part in parts]),
        np.concatenate([part.terminated for part in parts]),
        np.concatenate([part.episode + shift for part, shift in zip(parts, before, strict=True)]),
        {name: np.concatenate([part.outcome[name] for part in parts]) for name in parts[0].outcome},
        np.concatenate([part.first_obs for part in parts]),
    )


def play(
    envs: VectorEnv,
    policy: Policy,
    *,
    seeds: Sequence[int],
    greedy: bool = True,
    order: int = 0,
    first: int = 0,
    on_episodes: Callable[[int], None] | None = None,
) -> Episodes:
    """All episodes of `stream` at once.

    Raises:
        As `stream`.
    """
    return join(
        list(stream(envs, policy, seeds=seeds, greedy=greedy, order=order, first=first, on_episodes=on_episodes))
    )


def stream(
    envs: VectorEnv,
    policy: Policy,
    *,
    seeds: Sequence[int],
    greedy: bool = True,
    order: int = 0,
    first: int = 0,
    on_episodes: Callable[[int], None] | None = None,
) -> Iterator[Episodes]:
    """Play one episode per seed on copies made with `autoreset=False`, and yield them in the order of the seeds.

    A copy that finishes takes the next seed, so no copy waits for another. Its episodes are yielded once all episodes
    of earlier seeds are: short episodes are often bad ones (or good ones), and a caller that stops early must not
    receive them first. To stop early, leave the iterator. The policy is called with the observations of all copies,
    each in its place, and hears by `episode_start` `[N]` which of them begin an episode.

    Args:
        seeds: one per episode.
        greedy: the policy's most likely action, or a sample.
        order: for a finite test set, the seed of the permutation that the episodes walk through.
        first: the index, among all episodes of the set, of that of the first seed.
        on_episodes: called with the number of episodes finished so far.

    Yields:
        Consecutive episodes, one or more, as soon as they are known.

    Raises:
        ValueError: no seeds.
        PolicyFailure: the policy raised.
        EnvironmentFailure: the environment raised.
        InputError: one of them raised that, the environment returned something that its spaces do not allow, or an
            episode does not end.
    """
    total, n = len(seeds), envs.num_envs
    if total == 0:
        raise ValueError("play() and stream() need at least one seed")
    playing = np.full(n, -1)  # which episode each copy plays
    playing[: min(n, total)] = np.arange(min(n, total))
    started, n_yielded = min(n, total), 0
    seed_of = np.asarray(seeds, dtype=np.int64)
    checks = VectorChecks(envs)

    def start(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        index = np.maximum(playing, 0)
        options = {"reset_mask": mask, "episode": index + first, "order": order}
        try:
            observations, infos = envs.reset(seed=[int(s) for s in seed_of[index]], options=options)  # type: ignore[arg-type]
            checks.reset(observations, infos)
        except InputError:
            raise
        except (Exception, SystemExit) as error:  # foreign code raises anything
            raise EnvironmentFailure(f"the environment failed with {failure(error)}") from error
        return observations, infos.get("action_mask")

    active = playing >= 0
    obs, legal = start(active)
    episode_start = np.ones(n, bool)
    first_obs = np.zeros((total, *obs.shape[1:]), obs.dtype)
    first_obs[playing[active]] = obs[active]
    lengths, ended, finished = np.zeros(total, np.int64), np.zeros(total, bool), np.zeros(total, bool)
    steps = _Steps()
    while active.any():
        # A copy that has nothing left to play may have no legal action.
        try:
            mask = None if legal is None else legal | ~active[:, None]
            actions = choose_actions(policy, obs, greedy, mask, episode_start)
            if isinstance(envs, RankingVector):
                envs.rank(scores(policy, obs, actions, greedy, envs.candidates()))
        except InputError:
            raise
        except (Exception, SystemExit) as error:
            raise PolicyFailure(f"the policy failed with {failure(error)}") from error
        try:
            obs, rewards, terminated, truncated, infos = envs.step(actions)
            checks.step(obs, rewards, terminated, truncated, infos, active)
        except InputError:
            raise
        except (Exception, SystemExit) as error:
            illegal = None if mask is None else _illegal_action(envs.single_action_space, actions, mask)
            if illegal is not None:
                raise PolicyFailure(
                    f"the policy chose the action {illegal}, which the mask forbids, and the environment failed with "
                    f"{failure(error)}: judge a policy that takes the mask, or that returns logits"
                ) from error
            raise EnvironmentFailure(f"the environment failed with {failure(error)}") from error
        legal = infos.get("action_mask")
        steps.add(playing[active], {name: np.asarray(values)[active] for name, values in infos["outcome"].items()})
        lengths[playing[active]] += 1
        done = (terminated | truncated) & active
        episode_start = np.zeros(n, bool)
        if not done.any():
            if checks.steps % CHECK_EVERY == 0 and lengths[playing[active]].max() > MAX_EPISODE_STEPS:
                raise InputError(
                    f"an episode of {checks.name!r} has not ended after {MAX_EPISODE_STEPS:,} steps: give the "
                    "environment a step limit of its own"
                )
            continue
        ended[playing[done]] = terminated[done]
        finished[playing[done]] = True
        copies = np.flatnonzero(done)
        fresh = copies[: total - started]
        playing[copies] = -1
        playing[fresh] = np.arange(started, started + len(fresh))
        started += len(fresh)
        active = playing >= 0
        if len(fresh):
            episode_start[fresh] = True
            obs, legal = start(episode_start)
            first_obs[playing[fresh]] = obs[fresh]
        if on_episodes:
            on_episodes(int(finished.sum()))
        n_complete = total if finished[n_yielded:].all() else n_yielded + int(finished[n_yielded:].argmin())
        if n_complete > n_yielded:
            part = slice(n_yielded, n_complete)
            episode, outcome = steps.take(n_complete)
            yield Episodes(seed_of[part], lengths[part], ended[part], episode - n_yielded, outcome, first_obs[part])
            n_yielded = n_complete


def _illegal_action(action: gym.Space, actions: np.ndarray, mask: np.ndarray) -> int | list[int] | None:
    """The first action that its mask does not allow; None if there is none. A copy without legal actions has all."""
    legal = legal_parts(action, np.asarray(actions), mask).reshape(len(actions), -1).all(axis=1)
    return None if legal.all() else np.asarray(actions)[int(legal.argmin())].tolist()


class _Steps:
    """The steps of episodes that were not yielded yet, in the order of play."""

    def __init__(self) -> None:
        self._episode: list[np.ndarray] = []
        self._outcome: dict[str, list[np.ndarray]] = {}

    def add(self, episode: np.ndarray, outcome: dict[str, np.ndarray]) -> None:
        """One step of each copy that plays."""
        self._episode.append(episode)
        for name, values in outcome.items():
            self._outcome.setdefault(name, []).append(values)

    def take(self, stop: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Remove all steps of episodes before `stop`, and give them in the order of the episodes."""
        episode = np.concatenate(self._episode)
        columns = {name: np.concatenate(parts) for name, parts in self._outcome.items()}
        removed = np.flatnonzero(episode < stop)
        remaining = np.flatnonzero(episode >= stop)
        self._episode = [episode[remaining]]
        self._outcome = {name: [values[remaining]] for name, values in columns.items()}
        removed = removed[np.argsort(episode[removed], kind="stable")]
        return episode[removed], {name: values[removed] for name, values in columns.items()}
