"""Train the agents of `CASES` as one of two processes: `python -m tests.agents.two_ranks FOLDER RANK`."""

import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist

from agents.config import A2CConfig, NetworkConfig, PPOConfig
from agents.ranks import Ranks
from tests.agents.environments import BOX, DISCRETE, Walk, build

PPO = PPOConfig(n_envs=4, n_steps=8, batch_size=16, n_epochs=2, lr=1e-3, ent_coef=0.01)
A2C = A2CConfig(n_envs=4, n_steps=5, normalize_advantage=True)
NORMALISED = {"normalize_obs": True, "normalize_reward": True, "normalize_return": True}
LAYER_NORM, SHARED = NetworkConfig(widths=[8], norm="layer"), NetworkConfig(widths=[8], shared=True)
CASES = {  # config, actions, iterations
    "ppo": (replace(PPO, clip_range_vf=0.2, **NORMALISED), DISCRETE, 13),
    "ppo, ranks without a row": (replace(PPO, batch_size=2), BOX, 1),
    "ppo, autograd": (replace(PPO, batch_size=3, network=LAYER_NORM), DISCRETE, 1),
    "a2c": (A2C, DISCRETE, 4),
    "a2c, autograd": (replace(A2C, network=SHARED), BOX, 2),
}


class Noises:
    """A generator for each copy."""

    def __init__(self, seeds):
        self.generators = [np.random.default_rng(seed) for seed in seeds]

    def standard_normal(self, count):
        return np.array([generator.standard_normal() for generator in self.generators])


class SeededWalk(Walk):
    """A `Walk` whose copies do not depend on which others are beside them."""

    def reset(self, *, seed=None, options=None):
        result = super().reset(seed=seed)
        self.rng = Noises(seed)
        return result


def trained(case, ranks=None):
    """The agent of a case, and the rows of its metrics."""
    config, actions, iterations = CASES[case]
    n_envs = config.n_envs // (ranks.count if ranks else 1)
    agent = build(config, SeededWalk(n_envs, actions), **({"ranks": ranks} if ranks else {}))
    agent.start(list(range(config.n_envs)))
    return agent, [agent.iterate() for _ in range(iterations)]


def results(ranks=None):
    """Case -> parameters and metrics, as arrays by name."""
    arrays = {}
    for case in CASES:
        agent, rows = trained(case, ranks)
        state, _ = agent.state()
        arrays |= {f"{case}/{name}": array for name, array in state.items()}
        arrays[f"{case}/gradient_steps"] = np.array(agent.gradient_steps)
        arrays |= {f"{case}/metric {name}": np.array([row[name] for row in rows]) for name in rows[0]}
    return arrays


def main(folder, rank):
    torch.set_num_threads(1)
    store = dist.FileStore(str(folder / "store"), 2)
    dist.init_process_group("gloo", store=store, rank=rank, world_size=2, timeout=timedelta(hours=1))
    np.savez(folder / f"rank_{rank}.npz", **results(Ranks()))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
