"""`Learner`: the agent of a run in one process, with the environments that it learns in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium.vector import VectorEnv

from rl_eval import agent_registry, domains, exposure, seeding
from rl_eval.config import RunConfig
from rl_eval.errors import InputError
from rl_eval.extras import imports_of_extra
from rl_eval.rewards import RewardedVector, RewardFunction
from rl_eval.training._agent import Agent


@dataclass(frozen=True)
class Learner:
    """What learns in one process.

    Attributes:
        vector: the copies of this process.
        starts: the first observations of its episodes; stays empty if the data is a finite set of cases.
    """

    agent: Agent
    vector: VectorEnv
    reward: RewardFunction
    starts: exposure.FirstObservationRecorder


def make_learner(config: RunConfig, directory: Path, device: str, ranks: Any = None) -> Learner:
    """The agent of a config, and its environments.

    Args:
        directory: of the run.
        ranks: an `agents.ranks.Ranks`, where several processes train the agent together.

    Raises:
        InputError: the agent does not suit the environment, or has no room for what it keeps on disk.
    """
    with imports_of_extra("train", "training"):
        import torch
        from threadpoolctl import threadpool_limits

    torch.set_num_threads(config.hardware.threads)
    # numpy's BLAS would take every core, and two threads on a small matrix are slower than one.
    threadpool_limits(config.hardware.threads, user_api="blas")
    reward = RewardFunction.from_config(config.reward["terms"])
    n_envs = config.agent.n_envs if ranks is None else config.agent.n_envs // ranks.count
    vector = domains.make(config.env, n_envs=n_envs, part="train")
    starts = exposure.FirstObservationRecorder()
    has_cases = domains.domain(config.env.name).has_cases
    recorded = vector if has_cases else exposure.RecordFirstObservations(vector, starts)
    generators: Mapping[str, np.random.Generator] = {
        name: seeding.generator(config.seed, name) for name in ("init", "policy", "minibatch")
    }
    together = {} if ranks is None else {"ranks": ranks}
    try:
        agent: Agent = agent_registry.agent(config.agent.name).build(
            config.agent,
            RewardedVector(recorded, reward),
            generators=generators,
            total_steps=config.total_steps,
            device=device,
            folder=directory,
            **together,
        )
    except ValueError as error:
        raise InputError(str(error)) from error
    return Learner(agent, vector, reward, starts)
