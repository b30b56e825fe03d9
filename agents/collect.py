"""Experience of N environment copies over T steps, in preallocated arrays."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv

# Given observations [N, D] and the step's noise [N, A]: network inputs [N, D], action parameters
# [N, A], network actions [N] or [N, A], and the same actions as the environment takes them.
Act = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]

RECENT_EPISODES = 100


@dataclass
class Rollout:
    """T steps of N copies, all `[T, N, …]`; `final_obs` `[K, D]` are the observations that K truncations ended on."""

    obs: np.ndarray  # as the environment gave them
    inputs: np.ndarray  # as the network saw them
    parameters: np.ndarray  # of the action distribution that chose
    actions: np.ndarray  # network actions
    rewards: np.ndarray
    terminated: np.ndarray
    truncated: np.ndarray
    next_obs: np.ndarray  # [N, D] after the last step
    final_obs: np.ndarray
    reward_terms: dict[str, float]  # mean over the T*N steps

    @property
    def done(self) -> np.ndarray:
        """Where an episode ended, `[T, N]`."""
        return self.terminated | self.truncated


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

    def step(self, rewards: np.ndarray, done: np.ndarray) -> None:
        """Count one step of every copy."""
        self.running_return += rewards
        self.running_length += 1
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


def require_same_step(envs: VectorEnv) -> None:
    """On-policy collection needs environments that reset in the step that ends an episode.

    Raises:
        ValueError: another autoreset mode.
    """
    mode = envs.metadata.get("autoreset_mode")
    if mode != AutoresetMode.SAME_STEP:
        raise ValueError(f"not supported: environments with autoreset mode {mode}; make them with SAME_STEP")


def collect(envs: VectorEnv, obs: np.ndarray, act: Act, noise: np.ndarray, log: EpisodeLog) -> Rollout:
    """Step N copies T times with `act`.

    Args:
        obs: `[N, D]` the observations to start from.
        noise: `[T, N, A]` what `act` draws with, one slice a step.
        log: counts the episodes; changed in place.

    Raises:
        FloatingPointError: an observation or a reward is not finite.
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
        reward_terms={},
    )
    finals: list[np.ndarray] = []
    for t in range(steps):
        rollout.obs[t] = obs
        rollout.inputs[t], rollout.parameters[t], rollout.actions[t], env_actions = act(obs, noise[t])
        obs, rewards, terminated, truncated, infos = envs.step(env_actions)
        obs = np.asarray(obs, np.float32).reshape(n_envs, -1)
        rollout.rewards[t], rollout.terminated[t], rollout.truncated[t] = rewards, terminated, truncated
        if "_final_obs" in infos:
            cut = truncated & ~terminated
            if cut.any():
                ended_on = infos["final_obs"][cut]
                finals.append(np.stack([np.asarray(o, np.float32).ravel() for o in ended_on]))
        for name, values in infos.get("reward_terms", {}).items():
            rollout.reward_terms[name] = rollout.reward_terms.get(name, 0.0) + float(values.sum())
        log.step(rewards, terminated | truncated)
    rollout.next_obs = obs
    if finals:
        rollout.final_obs = np.concatenate(finals)
    rollout.truncated &= ~rollout.terminated
    rollout.reward_terms = {name: total / (steps * n_envs) for name, total in rollout.reward_terms.items()}
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
    after[rollout.truncated] = final
    after[rollout.terminated] = 0.0
    return after
