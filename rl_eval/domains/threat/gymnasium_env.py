"""The environment for Gymnasium's `make` and `make_vec`; importing this module registers `rl_eval/Threat-v0`."""

from __future__ import annotations

from typing import Any

from gymnasium.envs.registration import register

from rl_eval.domains.base import Part
from rl_eval.domains.threat.config import Config
from rl_eval.domains.threat.vector import ThreatVector
from rl_eval.envs.single_env import SingleEnv


def gym_vector(num_envs: int = 1, *, part: Part = "train", autoreset: bool = True, **config: Any) -> ThreatVector:
    """`gymnasium.make_vec("rl_eval.domains.threat.gymnasium_env:rl_eval/Threat-v0", num_envs=…, data=…, shift=…)`."""
    return ThreatVector(Config(**config), n_envs=num_envs, part=part, autoreset=autoreset)


class ThreatEnv(SingleEnv):
    """One shift at a time: `gymnasium.make("rl_eval.domains.threat.gymnasium_env:rl_eval/Threat-v0", …)`."""

    def __init__(self, *, part: Part = "train", **config: Any):
        super().__init__(gym_vector(1, part=part, autoreset=False, **config))


register(
    "rl_eval/Threat-v0",
    entry_point="rl_eval.domains.threat.gymnasium_env:ThreatEnv",
    vector_entry_point="rl_eval.domains.threat.gymnasium_env:gym_vector",
)
