"""What Gymnasium's `make` and `make_vec` call."""

from __future__ import annotations

from typing import Any

from rl_eval.envs.single import SingleCopy
from rl_eval.envs.threat.config import Config
from rl_eval.envs.threat.vector import ThreatVector


def gym_vector(num_envs: int = 1, *, part: str = "train", autoreset: bool = True, **config: Any) -> ThreatVector:
    """`gymnasium.make_vec("rl_eval/Threat-v0", num_envs=…, data=…, shift=…)`."""
    return ThreatVector(Config(**config), n_envs=num_envs, part=part, autoreset=autoreset)


class ThreatEnv(SingleCopy):
    """`gymnasium.make("rl_eval/Threat-v0", data=…, shift=…)`: one shift at a time."""

    def __init__(self, *, part: str = "train", **config: Any):
        super().__init__(gym_vector(1, part=part, autoreset=False, **config))
