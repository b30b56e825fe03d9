"""Experience of N environment copies over T steps, in preallocated arrays.

Environments reset in the step that ends an episode (SAME_STEP), or in the one after it (NEXT_STEP). That one
ignores its action, so it is a row without a transition, a filler: nothing is learned from it, and it counts
nowhere. Its observation, though, is what the episode ended on.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv

from agents.masks import read_next_mask, refuse_late_mask

# Given observations [N, D], the step's noise [N, A] and the action mask [N, A] or None: network inputs [N, D], action
# parameters [N, A], network actions [N] or [N, A], and the same actions as the environment takes them.
Act = Callable[[np.ndarray, np.ndarray, np.ndarray | None], tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]

RECENT_EPISODES = 100
_COUNTERS = ("episodes", "steps_finished", "steps_cut")


@dataclass
class Rollout:
    """T steps of N copies, all `[T, N, …]`."""

    obs: np.ndarray  # as the environment gave them
    inputs: np.ndarray  # as the network saw them
    parameters: np.ndarray  # of the action distribution that chose
    actions: np.ndarray  # network actions
    rewards: np.ndarray
    terminated: np.ndarray
    truncated: np.ndarray
    next_obs: np.ndarray  # [N, D] after the last step
    final_obs: np.ndarray  # [K, D] that K truncations ended on; none with NEXT_STEP, where the next row holds them
    real: np.ndarray | None  # [T, N] which rows are transitions; None: all
    reward_terms: dict[str, float]  # mean over the transitions
    masks: np.ndarray | None = None  # [T, N, A] bool, which actions were legal; None: all
    next_mask: np.ndarray | None = None  # [N, A] after the last step

    @property
    def done(self) -> np.ndarray:
        """Where an episode ended, `[T, N]`."""
        return self.terminated | self.truncated

    @property
    def size(self) -> int:
        """How many transitions there are."""
        return self.rewards.size if self.real is None else int(self.real.sum())

    def transitions(self, array: np.ndarray) -> np.ndarray:
        """Those rows of an array `[T, N, …]` that are transitions, `[B, …]`."""
        return array.reshape(-1, *array.shape[2:]) if self.real is None else array[self.real]


@dataclass
class EpisodeLog:
    """Returns and lengths: of the episodes in flight, and of the latest that ended."""

    running_return: np.ndarray
    running_length: np.ndarray
    returns: deque[float] = field(default_factory=lambda: deque(maxlen=RECENT_EPISODES))
    lengths: deque[int] = field(default_factory=lambda: deque(maxlen=RECENT_EPISODES))
    episodes: int = 0
    steps_finished: int = 0  # env steps inside episodes that ended
    steps_cut: int = 0  # env steps of episodes given up when the environments were rebuilt

    @classmethod
    def start(cls, n_envs: int) -> EpisodeLog:
        """Before the first step."""
        return cls(np.zeros(n_envs), np.zeros(n_envs, np.int64))

    def step(self, rewards: np.ndarray, done: np.ndarray, real: np.ndarray | None = None) -> None:
        """Count one step of every copy, or of those where it is `real`."""
        self.running_return += rewards
        self.running_length += 1 if real is None else real
        if done.any():
            for i in np.flatnonzero(done):
                self.returns.append(float(self.running_return[i]))
                self.lengths.append(int(self.running_length[i]))
            self.episodes += int(done.sum())
            self.steps_finished += int(self.running_length[done].sum())
            self.running_return[done] = 0.0
            self.running_length[done] = 0

    def cut(self) -> None:
        """Give up the episodes in flight."""
        self.steps_cut += int(self.running_length.sum())
        self.running_return[:] = 0.0
        self.running_length[:] = 0

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, int]]:
        """Everything, as arrays and JSON."""
        arrays = {
            "running_return": self.running_return,
            "running_length": self.running_length,
            "returns": np.array(self.returns, np.float64),
            "lengths": np.array(self.lengths, np.int64),
        }
        return arrays, {name: getattr(self, name) for name in _COUNTERS}

    @classmethod
    def restore(cls, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> EpisodeLog:
        """The log that gave a `state`."""
        return cls(
            running_return=np.array(arrays["running_return"]),
            running_length=np.array(arrays["running_length"]),
            returns=deque(arrays["returns"].tolist(), maxlen=RECENT_EPISODES),
            lengths=deque(arrays["lengths"].tolist(), maxlen=RECENT_EPISODES),
            **{name: meta[name] for name in _COUNTERS},
        )


def resets_on_next_step(envs: VectorEnv) -> bool:
    """Whether environments reset in the step after the one that ended an episode.

    Raises:
        ValueError: they do not reset on their own.
    """
    mode = envs.metadata.get("autoreset_mode")
    if mode not in (AutoresetMode.SAME_STEP, AutoresetMode.NEXT_STEP):
        raise ValueError(
            f"not supported: environments with autoreset mode {mode}; make them with SAME_STEP or NEXT_STEP"
        )
    return mode == AutoresetMode.NEXT_STEP


def collect(
    envs: VectorEnv,
    obs: np.ndarray,
    act: Act,
    noise: np.ndarray,
    log: EpisodeLog,
    ended: np.ndarray | None = None,
    mask: np.ndarray | None = None,
) -> Rollout:
    """Step N copies T times with `act`.

    Args:
        obs: `[N, D]` the observations to start from.
        noise: `[T, N, A]` what `act` draws with, one slice a step.
        log: counts the episodes; changed in place.
        ended: `[N]` of environments that reset on the next step: whose episode is over, so that the next row is a
            filler; changed in place. None: environments that reset in the same step.
        mask: bool `[N, A]`, the actions that are legal in `obs`. None: the environments give no masks.

    Raises:
        FloatingPointError: an observation or a reward is not finite.
        ValueError: an action mask is missing or not valid.
    """
    steps, n_envs, action_size = noise.shape
    size = obs.shape[1]
    discrete = isinstance(envs.single_action_space, gym.spaces.Discrete)
    action_shape = () if discrete else (action_size,)
    rollout = Rollout(
        obs=np.empty((steps, n_envs, size), np.float32),
        inputs=np.empty((steps, n_envs, size), np.float32),
        parameters=np.empty((steps, n_envs, action_size), np.float32),
        actions=np.empty((steps, n_envs, *action_shape), np.int64 if discrete else np.float32),
        rewards=np.empty((steps, n_envs), np.float32),
        terminated=np.empty((steps, n_envs), bool),
        truncated=np.empty((steps, n_envs), bool),
        next_obs=obs,
        final_obs=np.empty((0, size), np.float32),
        real=None if ended is None else np.empty((steps, n_envs), bool),
        reward_terms={},
        masks=None if mask is None else np.empty((steps, n_envs, action_size), bool),
    )
    finals: list[np.ndarray] = []
    for t in range(steps):
        rollout.obs[t] = obs
        if rollout.masks is not None:
            rollout.masks[t] = mask
        rollout.inputs[t], rollout.parameters[t], rollout.actions[t], env_actions = act(obs, noise[t], mask)
        obs, rewards, terminated, truncated, infos = envs.step(env_actions)
        obs = np.asarray(obs, np.float32).reshape(n_envs, -1)
        done = terminated | truncated
        real = None
        if rollout.real is not None and ended is not None:
            real = rollout.real[t]
            np.logical_not(ended, out=real)
            rewards = np.where(real, rewards, 0.0)
            ended[:] = done
        rollout.rewards[t], rollout.terminated[t], rollout.truncated[t] = rewards, terminated, truncated
        if real is None and "_final_obs" in infos:
            cut = truncated & ~terminated
            if cut.any():
                ended_on = infos["final_obs"][cut]
                finals.append(np.stack([np.asarray(o, np.float32).ravel() for o in ended_on]))
        for name, values in infos.get("reward_terms", {}).items():
            total = float(values.sum() if real is None else values[real].sum())
            rollout.reward_terms[name] = rollout.reward_terms.get(name, 0.0) + total
        if mask is not None:
            mask = read_next_mask(infos, n_envs, envs.single_action_space, None if real is None else terminated)
        log.step(rewards, done, real)
    if mask is None:
        refuse_late_mask(infos)
    rollout.next_obs, rollout.next_mask = obs, mask
    if finals:
        rollout.final_obs = np.concatenate(finals)
    rollout.truncated &= ~rollout.terminated
    rollout.reward_terms = {name: total / max(rollout.size, 1) for name, total in rollout.reward_terms.items()}
    for name in ("rewards", "obs"):
        array = getattr(rollout, name)
        if not np.isfinite(array).all():
            where = ", ".join(str(int(i)) for i in np.argwhere(~np.isfinite(array))[0])
            raise FloatingPointError(f"the environment returned a number that is not finite: {name}[{where}]")
    return rollout


def next_values(rollout: Rollout, values: np.ndarray, last: np.ndarray, final: np.ndarray) -> np.ndarray:
    """V of the observation each step led to, `[T, N]`; see `agents.advantage`.

    Args:
        values: `[T, N]` of `rollout.inputs`.
        last: `[N]` of `rollout.next_obs`.
        final: `[K]` of `rollout.final_obs`, in the order of its rows.
    """
    after = np.concatenate([values[1:], last[None]])
    if rollout.real is None:  # else the row after a truncation is a filler, whose value is that of what it ended on
        after[rollout.truncated] = final
    after[rollout.terminated] = 0.0
    return after
