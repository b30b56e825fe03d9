"""Microseconds per call of experience replay: ours, cpprb's (if it is installed) and Stable-Baselines3's.

    python -m benchmarks.replay [--capacity C] [--rounds R] [--json]

Full buffers of a million steps, LunarLander's observations, batches of 256. `prioritised`: a sample and the update of
its priorities; cpprb's tree is C++. `uniform`: a sample; Stable-Baselines3 has no priorities. `add`: one step of 8 and
of 64 copies; one in 300 is truncated. `make` does not install cpprb: `pip install --group bench`.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np

from agents.replay import ReplayBuffer
from benchmarks.gae import microseconds
from benchmarks.interleave import as_json, compare, in_turn, machine, print_results, spread

BATCH, OBS, COPIES = 256, 8, 8
ALPHA, BETA = 0.6, 0.5
TRUNCATED = 1 / 300
Call = Callable[[], Any]


def steps(copies: int, rng: np.random.Generator, count: int = 1000) -> list[tuple[np.ndarray, ...]]:
    """Arguments of our `add`."""
    return [
        (
            rng.normal(size=(copies, OBS)).astype(np.float32),
            rng.integers(0, 4, copies),
            rng.normal(size=copies).astype(np.float32),
            np.zeros(copies, bool),
            rng.random(copies) < TRUNCATED,
            rng.normal(size=(copies, OBS)).astype(np.float32),
        )
        for _ in range(count)
    ]


def filled(capacity: int, copies: int = COPIES, n_step: int = 1, alpha: float | None = ALPHA) -> ReplayBuffer:
    """Our buffer, full, with different priorities."""
    rng = np.random.default_rng(0)
    buffer = ReplayBuffer(capacity, copies, (OBS,), gamma=0.99, n_step=n_step, priority_alpha=alpha)
    for step in (step for _ in range(buffer.rows // 1000 + 1) for step in steps(copies, rng)):
        buffer.add(*step)
    buffer.update_priorities(np.arange(buffer.size), rng.exponential(size=buffer.size))
    return buffer


def ours(capacity: int, n_step: int = 1, alpha: float | None = ALPHA) -> Call:
    """A sample and the update of its priorities, if there are any."""
    buffer, rng = filled(capacity, n_step=n_step, alpha=alpha), np.random.default_rng(1)
    errors = rng.exponential(size=BATCH).astype(np.float32)

    def call() -> Any:
        batch = buffer.sample(BATCH, rng, beta=BETA)
        buffer.update_priorities(batch.index, errors)
        return batch

    return call


def cpprb(capacity: int) -> Call:
    """The same with cpprb."""
    from cpprb import PrioritizedReplayBuffer

    rng = np.random.default_rng(0)
    kinds = {"obs": {"shape": OBS}, "next_obs": {"shape": OBS}, "act": {"dtype": np.int64}, "rew": {}, "done": {}}
    buffer = PrioritizedReplayBuffer(capacity, kinds, alpha=ALPHA)
    chunk = 100_000
    for _ in range(-(-capacity // chunk)):
        obs = rng.normal(size=(chunk, OBS))
        zeros = np.zeros(chunk)
        buffer.add(obs=obs, next_obs=obs, act=zeros, rew=zeros, done=zeros, priorities=rng.exponential(size=chunk))
    errors = rng.exponential(size=BATCH).astype(np.float32)

    def call() -> Any:
        batch = buffer.sample(BATCH, beta=BETA)
        buffer.update_priorities(batch["indexes"], errors)
        return batch

    return call


def _peer(capacity: int, copies: int) -> Any:
    import gymnasium as gym
    from stable_baselines3.common.buffers import ReplayBuffer as Peer

    space = gym.spaces.Box(-1, 1, (OBS,), np.float32)
    return Peer(capacity, space, gym.spaces.Discrete(4), "cpu", n_envs=copies)


def peer(capacity: int) -> Call:
    """A uniform sample from Stable-Baselines3's buffer."""
    rng = np.random.default_rng(0)
    buffer = _peer(capacity, COPIES)
    for array in (buffer.observations, buffer.next_observations, buffer.rewards):
        array[:] = rng.random(array.shape, np.float32)
    buffer.actions[:], buffer.dones[:], buffer.timeouts[:] = 0, 0, 0  # written, so that the pages exist
    buffer.full = True
    return lambda: buffer.sample(BATCH)


def adding(capacity: int, copies: int, alpha: float | None) -> Call:
    """Adding one step of some copies to our buffer."""
    buffer, batches = filled(capacity, copies, alpha=alpha), steps(copies, np.random.default_rng(1))
    position = [0]

    def call() -> None:
        buffer.add(*batches[position[0] % len(batches)])
        position[0] += 1

    return call


def adding_of_peer(capacity: int, copies: int) -> Call:
    """Adding one step of some copies to Stable-Baselines3's buffer."""
    buffer, batches = _peer(capacity, copies), steps(copies, np.random.default_rng(1))
    position = [0]
    infos: list[dict[str, Any]] = [{} for _ in range(copies)]

    def call() -> None:
        obs, actions, rewards, terminated, truncated, after = batches[position[0] % len(batches)]
        buffer.add(obs, after, actions, rewards, terminated | truncated, infos)
        position[0] += 1

    return call


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--capacity", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args(argv)

    def timed(calls: dict[str, Call]) -> dict[str, list[float]]:
        for call in calls.values():  # the first call computes all sums of the tree
            call()
        return in_turn({name: lambda call=call: microseconds(call) for name, call in calls.items()}, args.rounds)

    size = args.capacity
    calls = {"ours": ours(size), "ours, 3 steps": ours(size, n_step=3)}
    if find_spec("cpprb"):
        calls["cpprb"] = cpprb(size)
    figures = timed(calls)
    results = {"prioritised": {name: spread(values) for name, values in figures.items()}}
    if "cpprb" in calls:
        results["prioritised"]["ratio"] = compare(figures, "ours", "cpprb", less=True)["ratio"]
    calls = {"ours": ours(size, alpha=None), "stable-baselines3": peer(size)}
    results["uniform"] = compare(timed(calls), "ours", "stable-baselines3", less=True)
    for copies in (8, 64):
        calls = {
            "ours": adding(size, copies, None),
            "ours, prioritised": adding(size, copies, ALPHA),
            "stable-baselines3": adding_of_peer(size, copies),
        }
        figures = timed(calls)
        results[f"add, {copies} copies"] = {
            **compare(figures, "ours", "stable-baselines3", less=True),
            "ours, prioritised": spread(figures["ours, prioritised"]),
        }
    if args.json:
        print(as_json("replay", results))
        return
    print(f"microseconds per call, batch {BATCH}, capacity {size:,}; {machine()}")
    print_results(results)


if __name__ == "__main__":
    main()
