"""The environment for Gymnasium's `make` and `make_vec`; importing this module registers `rl_eval/Webtest-v0`."""

from __future__ import annotations

from typing import Any

from gymnasium.envs.registration import register
from gymnasium.vector import VectorEnv

from rl_eval.domains.base import Part
from rl_eval.domains.webtest import DOMAIN, Config
from rl_eval.envs.single_env import SingleEnv


def gym_vector(num_envs: int = 1, *, part: Part = "train", autoreset: bool = True, **config: Any) -> VectorEnv:
    """`gymnasium.make_vec("rl_eval.domains.webtest.gymnasium_env:rl_eval/Webtest-v0", num_envs=…)`."""
    return DOMAIN.make(Config(**config), n_envs=num_envs, part=part, autoreset=autoreset)


class WebtestEnv(SingleEnv):
    """One build at a time: `gymnasium.make("rl_eval.domains.webtest.gymnasium_env:rl_eval/Webtest-v0", …)`."""

    def __init__(self, *, part: Part = "train", **config: Any):
        super().__init__(gym_vector(1, part=part, autoreset=False, **config))


register(
    "rl_eval/Webtest-v0",
    entry_point="rl_eval.domains.webtest.gymnasium_env:WebtestEnv",
    vector_entry_point="rl_eval.domains.webtest.gymnasium_env:gym_vector",
)
