"""Networks whose weights are away from their first values, as a snapshot holds them."""

import json

import gymnasium as gym
import numpy as np

from agents import normalize
from agents import policy as networks
from agents.config import NetworkConfig
from agents.networks import ActorCritic


def trained(action, seed=0, obs_size=4, **config):
    """A network whose every weight is away from its first value, and observation statistics of a large mean."""
    rng = np.random.default_rng(seed)
    network = ActorCritic(obs_size, action, NetworkConfig(**{"widths": [16, 8], **config}), rng)
    arrays = networks.pack(network, normalize.of(rng.normal(1000, 1e-3, (500, obs_size))), None)
    for name, array in arrays.items():
        if name.startswith("network.") and array.dtype == np.float32:
            positive = name.endswith("running_var")
            arrays[name] = (
                np.abs(rng.normal(1, 0.3, array.shape)) if positive else array + rng.normal(0, 0.5, array.shape)
            )
            arrays[name] = arrays[name].astype(np.float32)
    meta = {
        **networks.metadata(
            gym.spaces.Box(-1, 1, (obs_size,)), action, NetworkConfig(**{"widths": [16, 8], **config}), 5.0
        )
    }
    return arrays, {
        **json.loads(json.dumps(meta).replace("-Infinity", "null").replace("Infinity", "null")),
        "agent": "ppo",
        "env": "cartpole",
    }
