"""CartPole-v1: keep the pole up for 500 steps; a mean return of 475 counts as solved."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from rl_eval.domains import gym


class Config(gym.Config):
    """Gymnasium's CartPole."""

    name: Literal["cartpole"] = "cartpole"  # type: ignore[assignment]
    id: Literal["CartPole-v1"] = "CartPole-v1"
    success_return: float | None = Field(475.0, description="an episode with at least this return is a success")


class CartPole(gym.Gym):
    """Gymnasium's CartPole, whose steps take microseconds."""

    name = "cartpole"
    config_model = Config


DOMAIN = CartPole()
