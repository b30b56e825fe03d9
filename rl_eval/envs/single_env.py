"""`SingleEnv`: one copy of a vector environment as a Gymnasium environment, for `gymnasium.make`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import VectorEnv


class SingleEnv(gym.Env):
    """A vector of one copy, made with `autoreset=False`, whose steps return scalars."""

    metadata = {"render_modes": []}

    def __init__(self, vector: VectorEnv):
        self._vector = vector
        self.observation_space = vector.single_observation_space
        self.action_space = vector.single_action_space

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        """Start an episode; `options["episode"]` and `options["order"]` name one of the part."""
        super().reset(seed=seed)
        options = dict(options or {})
        options.pop("reset_mask", None)
        if options.get("episode") is not None:
            options["episode"] = np.atleast_1d(options["episode"])
        obs, infos = self._vector.reset(seed=seed, options=options)
        return obs[0], _first_mask(infos)

    def step(self, action: int):
        """One step; `info["outcome"]` holds its facts as plain numbers."""
        obs, reward, terminated, truncated, infos = self._vector.step(np.array([action]))
        outcome = {name: values[0].item() for name, values in infos["outcome"].items()}
        info = {"outcome": outcome, **_first_mask(infos)}
        return obs[0], float(reward[0]), bool(terminated[0]), bool(truncated[0]), info


def _first_mask(infos: Mapping[str, Any]) -> dict[str, Any]:
    """The action mask as Gymnasium's own environments return it, where there is one."""
    return {"action_mask": infos["action_mask"][0].astype(np.int8)} if "action_mask" in infos else {}
