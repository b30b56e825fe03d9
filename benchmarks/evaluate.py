"""Playing held-out LunarLander episodes: ours beside Stable-Baselines3's `evaluate_policy`, same policy, in turn.

    python -m benchmarks.evaluate [--run RUN] [--episodes 200] [--rounds R] [--json]

Without --run a policy is trained first. The peer's environments are made without rendering, 32 copies; the floor
is what stepping our copies alone gives, with actions drawn beforehand.
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

from benchmarks.interleave import as_json, compare, in_turn, machine, tell
from rl_eval import domains, policy, seeding
from rl_eval.rollout import play
from rl_eval.run import read_checkpoint, read_run

ROOT = Path(__file__).resolve().parents[1]
COPIES = 32


def trained(folder: str) -> Path:
    """A run of the defaults."""
    command = [sys.executable, str(ROOT / "train.py"), "env=lunarlander", f"hydra.run.dir={folder}/run"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return Path(folder) / "run"


def as_theirs(run: Path, vector: Any) -> Any:
    """The run's actor as a Stable-Baselines3 model: the same weights in the same 64-64 tanh network."""
    import torch
    from stable_baselines3 import PPO

    arrays, _ = read_checkpoint(read_run(run).judged_snapshot(), "policy")
    model = PPO("MlpPolicy", vector, device="cpu")
    actor = {
        "mlp_extractor.policy_net.0": "network.actor_body.0",
        "mlp_extractor.policy_net.2": "network.actor_body.2",
        "action_net": "network.actor_head",
    }
    weights = model.policy.state_dict()
    for theirs, ours in actor.items():
        for part in ("weight", "bias"):
            weights[f"{theirs}.{part}"] = torch.from_numpy(arrays[f"{ours}.{part}"])
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
    given = parser.parse_args()
    config = domains.validate({"name": "lunarlander"})
    with tempfile.TemporaryDirectory() as folder:
        run = Path(given.run) if given.run else trained(folder)
        vector = domains.make(config, n_envs=COPIES, part="test", autoreset=False)
        floor = domains.make(config, n_envs=COPIES, part="test")
        acting = policy.load(str(run), policy.Spaces.of(config, vector), config)
        theirs = make_vec_env(lambda: gym.make("LunarLander-v3", render_mode=None), n_envs=COPIES, seed=1)
        model = as_theirs(run, theirs)
    some = np.random.default_rng(0).normal(size=(1000, 8)).astype(np.float32)
    assert np.mean(acting.act(some, True) == model.predict(some, deterministic=True)[0]) > 0.999  # one policy
    seeds = seeding.episode_seeds(1, given.episodes)

    def ours() -> float:
        begun = time.perf_counter()
        episodes = play(vector, acting, seeds=seeds)
        return int(episodes.lengths.sum()) / (time.perf_counter() - begun)

    def peer() -> float:
        begun = time.perf_counter()
        _, lengths = evaluate_policy(model, theirs, given.episodes, return_episode_rewards=True)
        return sum(lengths) / (time.perf_counter() - begun)

    def stepping() -> float:
        obs, _ = floor.reset(seed=1)
        begun, steps = time.perf_counter(), 1500
        for _ in range(steps):  # the same policy's actions, so that the same physics is stepped; its time is taken off
            paused = time.perf_counter()
            actions = acting.act(obs, True)
            begun += time.perf_counter() - paused
            obs = floor.step(actions)[0]
        return steps * COPIES / (time.perf_counter() - begun)

    sides = {"ours": ours, "evaluate_policy": peer, "stepping alone": stepping}
    figures = in_turn(sides, given.rounds)
    found = {
        "evaluate_policy": compare(figures, "ours", "evaluate_policy"),
        "stepping alone": compare(figures, "ours", "stepping alone"),
    }
    vector.close()
    floor.close()
    if given.json:
        print(as_json("evaluate", found))
        return
    print(f"env steps a second over {given.episodes} episodes of LunarLander-v3; {machine()}")
    tell(found)


if __name__ == "__main__":
    main()
