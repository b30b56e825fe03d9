"""One copy for Gymnasium's `make`, and the vector for its `make_vec`."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np

from rl_eval.envs import qase
from rl_eval.envs.qase.config import Config
from rl_eval.envs.qase.vector import QaseVector


def gym_vector(num_envs: int = 1, *, part: str = "train", autoreset: bool = True, **config: Any) -> QaseVector:
    """`gymnasium.make_vec("rl_eval/Qase-v0", num_envs=…, data=…, path=…)`."""
    return qase.make(Config(**config), n_envs=num_envs, part=part, autoreset=autoreset)


class QaseEnv(gym.Env):
    """`gymnasium.make("rl_eval/Qase-v0", data=…, path=…)`: one test cycle at a time."""

    metadata = {"render_modes": []}

    def __init__(self, *, part: str = "train", **config: Any):
        self._vector = gym_vector(1, part=part, autoreset=False, **config)
        self.observation_space = self._vector.single_observation_space
        self.action_space = self._vector.single_action_space

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        """Start a cycle; `options["episode"]` and `options["order"]` name one of the part."""
        super().reset(seed=seed)
        options = dict(options or {})
        options.pop("reset_mask", None)
        if options.get("episode") is not None:
            options["episode"] = np.atleast_1d(options["episode"])
        obs, _ = self._vector.reset(seed=seed, options=options)
        return obs[0], {}

    def step(self, action: int):
        """Level one case; `info["outcome"]` holds its facts as plain numbers."""
        obs, reward, terminated, truncated, infos = self._vector.step(np.array([action]))
        outcome = {name: values[0].item() for name, values in infos["outcome"].items()}
        return obs[0], float(reward[0]), bool(terminated[0]), bool(truncated[0]), {"outcome": outcome}
