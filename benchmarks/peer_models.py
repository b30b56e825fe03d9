"""The peers: Stable-Baselines3, and SBX, which is the same in JAX, with the settings of the Zoo.

Their environments do not render. With the default of `make_vec_env`, `rgb_array`, LunarLander also simulates its smoke,
which takes three times as long.
"""

from __future__ import annotations

import importlib
from typing import Any

ZOO: dict[str, dict[str, Any]] = {
    "ppo": {"n_envs": 16, "n_steps": 1024, "batch_size": 64, "n_epochs": 4, "gamma": 0.999, "gae_lambda": 0.98,
            "lr": 3e-4, "ent_coef": 0.01},
    "a2c": {"n_envs": 8, "n_steps": 5, "gamma": 0.995, "gae_lambda": 1.0, "lr": 8.3e-4, "lr_schedule": "linear",
            "ent_coef": 1e-5},
    "dqn": {"n_envs": 1, "lr": 6.3e-4, "batch_size": 128, "buffer_size": 50_000, "learning_starts": 0, "gamma": 0.99,
            "target_every": 250, "train_every": 4, "updates_per_step": 1.0, "exploration_fraction": 0.12,
            "epsilon_end": 0.1, "double": False, "network": {"widths": [256, 256], "activation": "relu"}},
}  # fmt: skip
CARTPOLE: dict[str, dict[str, Any]] = {
    "ppo": {"n_envs": 8, "n_steps": 32, "batch_size": 256, "n_epochs": 20, "gamma": 0.98, "gae_lambda": 0.8, "lr": 1e-3,
            "ent_coef": 0.0},
    "a2c": {"n_envs": 8, "n_steps": 5, "gamma": 0.99, "gae_lambda": 1.0, "lr": 7e-4, "ent_coef": 0.0},
    "dqn": {"n_envs": 1, "lr": 2.3e-3, "batch_size": 64, "buffer_size": 100_000, "learning_starts": 1000, "gamma": 0.99,
            "target_every": 10, "train_every": 256, "updates_per_step": 0.5, "exploration_fraction": 0.16,
            "epsilon_end": 0.04, "double": False, "network": {"widths": [256, 256], "activation": "relu"}},
}  # fmt: skip
SETTINGS = {"lunarlander": ZOO, "cartpole": CARTPOLE}
IDS = {"lunarlander": "LunarLander-v3", "cartpole": "CartPole-v1"}
PEERS = {"sb3": "stable_baselines3", "sbx": "sbx"}  # and the package of each
STEPS = {"a2c": 200_000, "dqn": 100_000}  # of training in the Zoo, where its end matters: schedules end there
# The peer's name of a setting, where it differs from ours; its DQN is never double.
_PEER_NAMES = {
    "lr": "learning_rate",
    "target_every": "target_update_interval",
    "train_every": "train_freq",
    "epsilon_end": "exploration_final_eps",
}


def _for_peer(agent: str, env: str) -> dict[str, Any]:
    """The Zoo's settings as the peer takes them."""
    settings = {_PEER_NAMES.get(name, name): value for name, value in SETTINGS[env][agent].items()}
    if settings.pop("lr_schedule", "constant") == "linear":
        first = settings["learning_rate"]
        settings["learning_rate"] = lambda left: left * first
    if agent == "dqn":
        del settings["double"]
        settings["gradient_steps"] = round(settings.pop("updates_per_step") * settings["train_freq"])
        settings["policy_kwargs"] = {"net_arch": settings.pop("network")["widths"]}
    return settings


def peer_model(agent: str, *, seed: int = 1, threads: int = 1, env: str = "lunarlander", peer: str = "sb3") -> Any:
    """A model of the peer and its environments, with the Zoo's settings."""
    import gymnasium as gym
    import torch
    from stable_baselines3.common.env_util import make_vec_env

    torch.set_num_threads(threads)
    settings = _for_peer(agent, env)
    copies = settings.pop("n_envs")
    vector = make_vec_env(lambda: gym.make(IDS[env], render_mode=None), n_envs=copies, seed=seed)
    algorithm = getattr(importlib.import_module(PEERS[peer]), agent.upper())
    device = {"device": "cpu"} if peer == "sb3" else {}  # JAX has its own
    return algorithm("MlpPolicy", vector, seed=seed, **device, **settings)


def after_updates(do: Any) -> Any:
    """A callback that calls `do(env_steps)` after every update; training stops once it returns False."""
    from stable_baselines3.common.callbacks import BaseCallback

    class AfterUpdates(BaseCallback):
        keep_going = True

        def _on_rollout_start(self) -> None:  # of the next rollout, so the policy is the updated one
            if self.num_timesteps:
                self.keep_going = do(self.num_timesteps)

        def _on_step(self) -> bool:
            return self.keep_going

    return AfterUpdates()
