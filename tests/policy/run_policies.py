"""Finished runs of small random networks."""

import numpy as np

from agents import policy as networks
from agents.config import NetworkConfig
from agents.networks import ActorCritic, Inference
from rl_eval import run
from tests.policy.policies import CARTPOLE, OBS


def network(action, seed=0):
    return ActorCritic(4, action, NetworkConfig(widths=[8]), np.random.default_rng(seed), log_std_init=-1.0)


def write_run(path, action=CARTPOLE.action, env="cartpole", **changes):
    """A finished run of a small random network; returns the policy that it holds."""
    net = network(action)
    meta = {**networks.metadata(OBS, action, NetworkConfig(widths=[8]), 10.0), "agent": "ppo", "env": env, **changes}
    run.write_checkpoint(path / "snapshots" / "step_10", "policy", networks.pack(net, None, None), meta)
    run.write_json(path / "run.json", {"status": "finished", "snapshot": "step_10"})
    run.write_text(path / "config.yaml", f"env: {{name: {env}}}\n")
    return networks.NetworkPolicy(Inference(net), action, np.asarray, None, seed=5)
