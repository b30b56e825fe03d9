"""Discrete observations as one-hot vectors, which networks learn from; the space keeps what they mean."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np

from rl_eval.envs.returned_values import name_of
from rl_eval.envs.space_values import OneHot, describe
from rl_eval.errors import InputError


class OneHotObservation(gym.ObservationWrapper):
    """Discrete observations as one-hot vectors; a number that the space does not have is refused."""

    def __init__(self, env: gym.Env):
        super().__init__(env)
        assert isinstance(env.observation_space, gym.spaces.Discrete)
        self._discrete = env.observation_space
        self.observation_space = OneHot(env.observation_space)

    def observation(self, observation: Any) -> np.ndarray:
        """The one-hot vector, int64 `[n]`.

        Raises:
            InputError: the observation is not one of the space.
        """
        if not self._discrete.contains(observation):
            raise InputError(
                f"environment {name_of(self.env)!r} returned the observation {describe(observation)}: its space is "
                f"{self._discrete}"
            )
        vector = np.zeros(int(self._discrete.n), np.int64)
        vector[int(observation) - int(self._discrete.start)] = 1
        return vector
