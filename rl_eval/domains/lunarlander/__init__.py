"""LunarLander-v3: land a craft; a return of 200 counts as landed."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from rl_eval.domains import gym


class Config(gym.Config):
    """Gymnasium's LunarLander; `kwargs` reach `gymnasium.make` (continuous, gravity, enable_wind, …)."""

    name: Literal["lunarlander"] = "lunarlander"  # type: ignore[assignment]
    id: Literal["LunarLander-v3"] = "LunarLander-v3"
    success_return: float | None = Field(200.0, description="an episode with at least this return is a success")


class LunarLander(gym.Gym):
    """Gymnasium's LunarLander, whose physics makes a step slow."""

    name = "lunarlander"
    config_model = Config
    slow_steps = True  # 24 us per step and copy, five times CartPole's


DOMAIN = LunarLander()
