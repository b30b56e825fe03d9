"""The same work, ours and Stable-Baselines3's: env steps a second of the whole process, import included.

    python -m benchmarks.same_work [--agent ppo|a2c] [--steps N] [--rounds R] [--json]

LunarLander-v3 with the settings of the Stable-Baselines3 Zoo, Gymnasium stepping on both sides, the peer's
environments made without rendering, one torch thread each.
"""

from __future__ import annotations

import argparse
import json
import time

BEGUN = time.perf_counter()

ZOO = {
    "ppo": {"n_envs": 16, "n_steps": 1024, "batch_size": 64, "n_epochs": 4, "gamma": 0.999, "gae_lambda": 0.98,
            "lr": 3e-4, "ent_coef": 0.01},
    "a2c": {"n_envs": 8, "n_steps": 5, "gamma": 0.995, "gae_lambda": 1.0, "lr": 8.3e-4, "ent_coef": 1e-5},
}  # fmt: skip


def ours(agent: str, steps: int) -> int:
    """Env steps taken by our agent."""
    import torch
    from threadpoolctl import threadpool_limits

    from agents.config import CONFIGS
    from rl_eval import envs, seeding

    torch.set_num_threads(1)
    threadpool_limits(1, user_api="blas")
    config = CONFIGS[agent](**ZOO[agent])
    vector = envs.make(envs.validate({"name": "lunarlander"}), n_envs=config.n_envs, part="train")
    generators = {name: seeding.generator(1, name) for name in ("init", "policy", "minibatch")}
    learner = config.build(vector, generators=generators, total_steps=steps)
    learner.start(list(range(config.n_envs)))
    while learner.env_steps < steps:
        learner.iterate()
    return learner.env_steps


def peer(agent: str, steps: int) -> int:
    """Env steps taken by Stable-Baselines3's agent."""
    import gymnasium as gym
    import stable_baselines3
    import torch
    from stable_baselines3.common.env_util import make_vec_env

    torch.set_num_threads(1)
    zoo = dict(ZOO[agent])
    zoo["learning_rate"] = zoo.pop("lr")
    vector = make_vec_env(lambda: gym.make("LunarLander-v3", render_mode=None), n_envs=zoo.pop("n_envs"), seed=1)
    model = getattr(stable_baselines3, agent.upper())("MlpPolicy", vector, device="cpu", seed=1, **zoo)
    model.learn(steps)
    return model.num_timesteps


def main() -> None:
    from benchmarks.interleave import compare, in_turn, machine, process, tell

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--agent", choices=ZOO, nargs="+", default=list(ZOO))
    parser.add_argument("--steps", type=int, default=49_152)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--side", choices=("ours", "peer"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.side:
        taken = {"ours": ours, "peer": peer}[given.side](given.agent[0], given.steps)
        print(json.dumps({"steps_per_s": taken / (time.perf_counter() - BEGUN)}))
        return
    found = {}
    for agent in given.agent:
        arguments = ("--agent", agent, "--steps", str(given.steps))

        def side(name: str, arguments: tuple[str, ...] = arguments) -> float:
            return process("benchmarks.same_work", *arguments, "--side", name)["steps_per_s"]

        sides = {"ours": lambda side=side: side("ours"), "stable-baselines3": lambda side=side: side("peer")}
        found[agent] = compare(in_turn(sides, given.rounds), "ours", "stable-baselines3")
    if given.json:
        print(json.dumps({"benchmark": "same_work", "machine": machine(), **found}, indent=2))
        return
    print(f"env steps a second, LunarLander-v3, Zoo settings; {machine()}")
    tell(found)


if __name__ == "__main__":
    main()
