"""CartPole-v1: keep the pole up for 500 steps; a mean return of 475 counts as solved."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from rl_eval.envs import gym

OUTCOME, BASELINES, select_metric = gym.OUTCOME, gym.BASELINES, gym.select_metric
gate_episodes, select_episodes, fingerprints, make = gym.gate_episodes, gym.select_episodes, gym.fingerprints, gym.make


class Config(gym.Config):
    """Gymnasium's CartPole."""

    name: Literal["cartpole"] = "cartpole"  # type: ignore[assignment]
    id: Literal["CartPole-v1"] = "CartPole-v1"
    success_return: float | None = Field(475.0, description="an episode with at least this return is a success")
