"""Observations of an environment under random actions, to which an encoding of inputs is fitted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import gymnasium as gym
import numpy as np
from gymnasium.vector import VectorEnv

from agents.action_masks import masked, read_mask
from agents.collect import flat, resets_on_next_step
from agents.policy import to_environment

if TYPE_CHECKING:
    from agents.ranks import Ranks

LEAST = 20_000
# Of the environments and the actions, independent of the seed of a run: so all its seeds have an encoding of one size.
SEED = 0


def random_observations(envs: VectorEnv, ranks: Ranks | None) -> np.ndarray:
    """`[R, D]` float32, at least `LEAST`; the environments stay where that ends, and have to be reset.

    Those of all ranks are in it.
    """
    rng = np.random.default_rng(SEED)
    copies, space, late_reset = envs.num_envs, envs.single_action_space, resets_on_next_step(envs)
    total = copies * (1 if ranks is None else ranks.count)
    first = 0 if ranks is None else ranks.copies(total).start
    obs, infos = envs.reset(seed=[SEED + copy for copy in range(first, first + copies)])  # type: ignore[arg-type]
    terminated = np.zeros(copies, bool)
    collected = [flat(obs, copies)]
    while len(collected) * total < LEAST:
        if isinstance(space, gym.spaces.Discrete):
            mask = read_mask(infos, copies, space, terminated if late_reset else None)
            actions = masked(rng.random((copies, int(space.n))), mask).argmax(axis=1)
        else:
            actions = rng.standard_normal((copies, gym.spaces.flatdim(space)))
        obs, _, terminated, _, infos = envs.step(to_environment(actions, space))
        collected.append(flat(obs, copies))
    together = np.concatenate(collected)
    return together if ranks is None else ranks.gather(together)
