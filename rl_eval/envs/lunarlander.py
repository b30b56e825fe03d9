"""LunarLander-v3: land a craft; a return of 200 counts as landed."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from rl_eval.envs import gym

OUTCOME, BASELINES, select_metric = gym.OUTCOME, gym.BASELINES, gym.select_metric
gate_episodes, select_episodes, fingerprints, make = gym.gate_episodes, gym.select_episodes, gym.fingerprints, gym.make


class Config(gym.Config):
    """Gymnasium's LunarLander; `kwargs` reach `gymnasium.make` (continuous, gravity, enable_wind, …)."""

    name: Literal["lunarlander"] = "lunarlander"  # type: ignore[assignment]
    id: Literal["LunarLander-v3"] = "LunarLander-v3"
    success_return: float | None = Field(200.0, description="an episode with at least this return has landed")
