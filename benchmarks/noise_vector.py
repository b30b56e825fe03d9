"""`NoiseVector`: an environment that costs next to nothing, so that a benchmark of learning measures learning."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

LENGTH = 100  # steps of an episode


class NoiseVector(VectorEnv):
    """N copies that show random numbers `[N, D]`, and reward the action that the first of them names."""

    def __init__(self, n_envs: int, size: int = 64, actions: int = 8):
        self.num_envs, self.metadata = n_envs, {"autoreset_mode": AutoresetMode.SAME_STEP}
        self.single_observation_space = gym.spaces.Box(-np.inf, np.inf, (size,), np.float32)
        self.single_action_space = gym.spaces.Discrete(actions)
        self.observation_space = batch_space(self.single_observation_space, n_envs)
        self.action_space = batch_space(self.single_action_space, n_envs)

    def _draw(self) -> np.ndarray:
        shape = self.num_envs, *self.single_observation_space.shape  # type: ignore[misc]
        self._obs = self._rng.standard_normal(shape, np.float32)
        return self._obs

    def reset(self, *, seed=None, options=None):
        """Start every copy."""
        self._rng, self._step = np.random.default_rng(seed), 0
        return self._draw(), {}

    def step(self, actions):
        """One step of every copy; all episodes end together."""
        actions_count = int(self.single_action_space.n)  # type: ignore[attr-defined]
        rewards = (actions == np.abs(self._obs[:, 0] * actions_count).astype(int) % actions_count).astype(np.float32)
        self._step += 1
        truncated = np.full(self.num_envs, self._step % LENGTH == 0)
        infos = {"final_obs": self._obs, "_final_obs": truncated} if truncated[0] else {}
        return self._draw(), rewards, np.zeros(self.num_envs, bool), truncated, infos
