"""Steps per second of held-out LunarLander episodes: our `play` and Stable-Baselines3's `evaluate_policy`, in turn.

    python -m benchmarks.evaluate [--run RUN] [--episodes 200] [--rounds R] [--json]

Both sides play the same weights on 32 copies. Without --run a policy is trained first. The peer's environments do not
render. As a limit, `stepping alone` steps our copies with the policy's actions and does not count the policy's time.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.interleave import as_json, compare, in_turn, machine, print_results
from rl_eval import domains, policy, seeding
from rl_eval.rollout import play
from rl_eval.run import read_checkpoint, read_run

ROOT = Path(__file__).resolve().parents[1]
COPIES = 32


def train_run(folder: str) -> Path:
    """Train a run with the defaults."""
    command = [sys.executable, str(ROOT / "train.py"), "env=lunarlander", "judge=off", f"hydra.run.dir={folder}/run"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return Path(folder) / "run"


def peer_model(run: Path, vector: Any) -> Any:
    """The run's actor as a Stable-Baselines3 model: the same weights in the same 64-64 network."""
    import torch
    from stable_baselines3 import PPO

    arrays, meta = read_checkpoint(read_run(run).judged_snapshot(), "policy")
    activation = {"tanh": torch.nn.Tanh, "relu": torch.nn.ReLU}[meta["network"]["activation"]]
    model = PPO("MlpPolicy", vector, device="cpu", policy_kwargs={"activation_fn": activation})
    actor = {
        "mlp_extractor.policy_net.0": "network.actor_body.0",
        "mlp_extractor.policy_net.2": "network.actor_body.2",
        "action_net": "network.actor_head",
    }
    weights = model.policy.state_dict()
    for peer_name, our_name in actor.items():
        for part in ("weight", "bias"):
            weights[f"{peer_name}.{part}"] = torch.from_numpy(arrays[f"{our_name}.{part}"])
    model.policy.load_state_dict(weights)
    return model


def main() -> None:
    import gymnasium as gym
    from stable_baselines3.common.env_util import make_vec_env
    from stable_baselines3.common.evaluation import evaluate_policy

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run")
    parser.add_argument("--episodes", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    config = domains.validate({"name": "lunarlander"})
    with tempfile.TemporaryDirectory() as folder:
        run = Path(args.run) if args.run else train_run(folder)
        vector = domains.make(config, n_envs=COPIES, part="test", autoreset=False)
        stepped = domains.make(config, n_envs=COPIES, part="test")
        our_policy = policy.load(str(run), policy.Spaces.of(config, vector), config)
        peer_vector = make_vec_env(lambda: gym.make("LunarLander-v3", render_mode=None), n_envs=COPIES, seed=1)
        model = peer_model(run, peer_vector)
    observations = np.random.default_rng(0).normal(size=(1000, 8)).astype(np.float32)
    peer_actions, _ = model.predict(observations, deterministic=True)
    assert np.mean(our_policy.act(observations, True) == peer_actions) > 0.999  # the same policy
    seeds = seeding.episode_seeds(1, args.episodes)

    def ours() -> float:
        start = time.perf_counter()
        episodes = play(vector, our_policy, seeds=seeds)
        return int(episodes.lengths.sum()) / (time.perf_counter() - start)

    def peer() -> float:
        start = time.perf_counter()
        _, lengths = evaluate_policy(model, peer_vector, args.episodes, return_episode_rewards=True)
        return sum(lengths) / (time.perf_counter() - start)

    def stepping() -> float:
        obs, _ = stepped.reset(seed=1)
        start, steps = time.perf_counter(), 1500
        for _ in range(steps):  # the policy's actions, so that the physics is the same
            paused = time.perf_counter()
            actions = our_policy.act(obs, True)
            start += time.perf_counter() - paused
            obs = stepped.step(actions)[0]
        return steps * COPIES / (time.perf_counter() - start)

    sides = {"ours": ours, "evaluate_policy": peer, "stepping alone": stepping}
    figures = in_turn(sides, args.rounds)
    results = {
        "evaluate_policy": compare(figures, "ours", "evaluate_policy"),
        "stepping alone": compare(figures, "ours", "stepping alone"),
    }
    vector.close()
    stepped.close()
    if args.json:
        print(as_json("evaluate", results))
        return
    print(f"env steps per second over {args.episodes} episodes of LunarLander-v3; {machine()}")
    print_results(results)


if __name__ == "__main__":
    main()
