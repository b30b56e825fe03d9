"""What Gymnasium's `make` and `make_vec` call."""

from __future__ import annotations

from typing import Any

from rl_eval.envs import qase
from rl_eval.envs.qase.config import Config
from rl_eval.envs.qase.vector import QaseVector
from rl_eval.envs.single import SingleCopy


def gym_vector(num_envs: int = 1, *, part: str = "train", autoreset: bool = True, **config: Any) -> QaseVector:
    """`gymnasium.make_vec("rl_eval/Qase-v0", num_envs=…, data=…, path=…)`."""
    return qase.make(Config(**config), n_envs=num_envs, part=part, autoreset=autoreset)


class QaseEnv(SingleCopy):
    """`gymnasium.make("rl_eval/Qase-v0", data=…, path=…)`: one test cycle at a time."""

    def __init__(self, *, part: str = "train", **config: Any):
        super().__init__(gym_vector(1, part=part, autoreset=False, **config))
