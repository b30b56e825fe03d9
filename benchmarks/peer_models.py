"""The peer: Stable-Baselines3 with the settings of its Zoo for LunarLander.

Its environments do not render. With the default of `make_vec_env`, `rgb_array`, LunarLander also simulates its smoke,
which takes three times as long.
"""

from __future__ import annotations

from typing import Any

ZOO: dict[str, dict[str, Any]] = {
    "ppo": {"n_envs": 16, "n_steps": 1024, "batch_size": 64, "n_epochs": 4, "gamma": 0.999, "gae_lambda": 0.98,
            "lr": 3e-4, "ent_coef": 0.01},
    "a2c": {"n_envs": 8, "n_steps": 5, "gamma": 0.995, "gae_lambda": 1.0, "lr": 8.3e-4, "ent_coef": 1e-5},
    "dqn": {"n_envs": 1, "lr": 6.3e-4, "batch_size": 128, "buffer_size": 50_000, "learning_starts": 0, "gamma": 0.99,
            "target_every": 250, "train_every": 4, "updates_per_step": 1.0, "exploration_fraction": 0.12,
            "epsilon_end": 0.1, "double": False, "network": {"widths": [256, 256], "activation": "relu"}},
}  # fmt: skip
DQN_STEPS = 100_000  # of its training in the Zoo
# The peer's name of a setting, where it differs from ours; its DQN is never double.
_PEER_NAMES = {
    "lr": "learning_rate",
    "target_every": "target_update_interval",
    "train_every": "train_freq",
    "epsilon_end": "exploration_final_eps",
}


def _for_peer(agent: str) -> dict[str, Any]:
    """The Zoo's settings as the peer takes them."""
    settings = {_PEER_NAMES.get(name, name): value for name, value in ZOO[agent].items()}
    if agent == "dqn":
        del settings["double"], settings["updates_per_step"]
        settings["gradient_steps"] = -1  # as many as there were env steps
        settings["policy_kwargs"] = {"net_arch": settings.pop("network")["widths"]}
    return settings


def peer_model(agent: str, *, seed: int = 1, threads: int = 1) -> Any:
    """A Stable-Baselines3 model and its environments, with the Zoo's settings."""
    import gymnasium as gym
    import stable_baselines3
    import torch
    from stable_baselines3.common.env_util import make_vec_env

    torch.set_num_threads(threads)
    settings = _for_peer(agent)
    copies = settings.pop("n_envs")
    vector = make_vec_env(lambda: gym.make("LunarLander-v3", render_mode=None), n_envs=copies, seed=seed)
    return getattr(stable_baselines3, agent.upper())("MlpPolicy", vector, device="cpu", seed=seed, **settings)


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
