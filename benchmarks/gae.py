"""Microseconds per call of generalised advantage estimation: ours, Stable-Baselines3's and a plain loop, in turn.

    python -m benchmarks.gae [--rounds R] [--json]

The arrays are `[T, N]`. The peer computes in float32, and computes the returns as well. The plain loop is the equation
in Python, step by step and copy by copy. The results of all three are compared before anything is timed.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from agents.advantage import gae
from benchmarks.interleave import as_json, compare, in_turn, machine, print_results

SHAPES = ((2048, 1), (128, 64), (16, 4096))
GAMMA, LAMBDA = 0.99, 0.95
SLICE_S = 0.1  # per contender and round


def random_rollout(steps: int, copies: int, seed: int = 0) -> dict[str, Any]:
    """A rollout with values, rewards and episode ends, without truncations: the peer adds their values to rewards."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(steps + 1, copies))
    done = rng.random((steps, copies)) < 0.01
    return {"rewards": rng.normal(size=(steps, copies)), "values": values, "done": done}


def ours(rollout: dict[str, Any]) -> Callable[[], np.ndarray]:
    """A call of ours."""
    rewards, values, done = rollout["rewards"], rollout["values"], rollout["done"]
    return lambda: gae(rewards, values[:-1], values[1:], done, done, GAMMA, LAMBDA)


def peer(rollout: dict[str, Any]) -> Callable[[], np.ndarray]:
    """A call of Stable-Baselines3's rollout buffer, filled beforehand."""
    import gymnasium as gym
    import torch
    from stable_baselines3.common.buffers import RolloutBuffer

    steps, copies = rollout["rewards"].shape
    buffer = RolloutBuffer(
        steps, gym.spaces.Box(-1, 1, (1,)), gym.spaces.Discrete(2), "cpu", LAMBDA, GAMMA, n_envs=copies
    )
    buffer.rewards[:] = rollout["rewards"]
    buffer.values[:] = rollout["values"][:-1]
    buffer.episode_starts[1:] = rollout["done"][:-1]  # the ends of the last step are arguments of the call
    last = torch.from_numpy(rollout["values"][-1])

    def call() -> np.ndarray:
        buffer.compute_returns_and_advantage(last, rollout["done"][-1])
        return buffer.advantages

    return call


def plain(rollout: dict[str, Any]) -> Callable[[], np.ndarray]:
    """The equation in a Python loop."""
    rewards, values, done = (rollout[name].tolist() for name in ("rewards", "values", "done"))

    def call() -> np.ndarray:
        steps, copies = len(rewards), len(rewards[0])
        advantages = [[0.0] * copies for _ in range(steps)]
        for n in range(copies):
            after = 0.0
            for t in reversed(range(steps)):
                keep_going = 0.0 if done[t][n] else 1.0
                delta = rewards[t][n] + GAMMA * keep_going * values[t + 1][n] - values[t][n]
                after = delta + GAMMA * LAMBDA * keep_going * after
                advantages[t][n] = after
        return np.array(advantages)

    return call


CONTENDERS = {"ours": ours, "stable-baselines3": peer, "plain loop": plain}


def microseconds(call: Callable[[], Any]) -> float:
    """The mean duration of a call over a slice of time."""
    start, calls = time.perf_counter(), 0
    while (spent := time.perf_counter() - start) < SLICE_S:
        call()
        calls += 1
    return 1e6 * spent / calls


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args(argv)
    results = {}
    for steps, copies in SHAPES:
        calls = {name: make(random_rollout(steps, copies)) for name, make in CONTENDERS.items()}
        for call in calls.values():
            np.testing.assert_allclose(call(), calls["plain loop"](), atol=1e-3)
        figures = in_turn({name: lambda call=call: microseconds(call) for name, call in calls.items()}, args.rounds)
        for other in ("stable-baselines3", "plain loop"):
            results[f"{steps} x {copies}, {other}"] = compare(figures, "ours", other, less=True)
    if args.json:
        print(as_json("gae", results))
        return
    print(f"microseconds per call, [T, N]; {machine()}")
    print_results(results)


if __name__ == "__main__":
    main()
