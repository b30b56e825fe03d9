"""Environment steps per second of one Gymnasium environment, of N copies in one and two processes, and of EnvPool.

Each round runs all of them once, in turn, so that other load on the machine affects all of them. Ratios are within a
round. `python -m benchmarks.stepping [--env LunarLander-v3] [--copies 64] [--json]`
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from functools import partial

import gymnasium as gym
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv

from benchmarks.interleave import compare, in_turn, machine, spread
from rl_eval.domains.gym import DOMAIN, Config
from rl_eval.envs import envpool_vector

SLICE_S = 0.4  # per contender and round
WARM_UP_STEPS = 20
RATIOS = (
    ("workers", "one_environment"),
    ("workers", "one_process"),
    ("one_process", "one_environment"),
    ("workers", "gymnasium_sync"),
    ("workers", "gymnasium_async"),
)
# Separate, because its start states differ; only if it is installed and has the environment.
ENVPOOL_RATIOS = (("envpool", "one_environment"), ("envpool", "workers"))


def one_environment(env_id: str) -> tuple[Callable[[], int], Callable[[], None]]:
    """A function that steps a single environment for a while, and one that closes it."""
    env = gym.make(env_id)  # with the defaults, so without rendering
    env.reset(seed=0)
    env.action_space.seed(0)
    actions = [env.action_space.sample() for _ in range(1000)]

    def step_chunk() -> int:
        for action in actions:
            _, _, terminated, truncated, _ = env.step(action)
            if terminated or truncated:
                env.reset()
        return len(actions)

    return step_chunk, env.close


def vector(envs: gym.vector.VectorEnv) -> tuple[Callable[[], int], Callable[[], None]]:
    """The same for N copies; a step counts as N, without the copies that EnvPool resets in it."""
    envs.reset(seed=0)
    envs.action_space.seed(0)
    actions = [envs.action_space.sample() for _ in range(10)]
    resets_next = envs.metadata["autoreset_mode"] == AutoresetMode.NEXT_STEP

    def step_chunk() -> int:
        fillers = 0
        for action in actions:
            _, _, terminated, truncated, _ = envs.step(action)
            if resets_next:
                fillers += int((terminated | truncated).sum())
        return len(actions) * envs.num_envs - fillers

    for _ in range(WARM_UP_STEPS):
        envs.step(actions[0])
    return step_chunk, envs.close


def contenders(env_id: str, copies: int, workers: int):
    """Name -> (step for a while, close), and name -> seconds until it was ready."""

    def gymnasiums(kind):
        return kind([lambda: gym.make(env_id)] * copies, autoreset_mode=AutoresetMode.SAME_STEP)

    def ours(count):
        return DOMAIN.make(Config(id=env_id, workers=count), n_envs=copies, part="train")

    building = {
        "one_environment": lambda: one_environment(env_id),
        "one_process": lambda: vector(ours(1)),
        "workers": lambda: vector(ours(workers)),
        "gymnasium_sync": lambda: vector(gymnasiums(SyncVectorEnv)),
        "gymnasium_async": lambda: vector(gymnasiums(AsyncVectorEnv)),
    }
    if envpool_vector.installed() and envpool_vector.task_of(gym.spec(env_id), {}) is not None:
        config = Config(id=env_id, backend="envpool")
        building["envpool"] = lambda: vector(DOMAIN.make(config, n_envs=copies, part="train"))
    built, ready_s = {}, {}
    for name, build in building.items():
        start = time.perf_counter()
        built[name] = build()
        ready_s[name] = time.perf_counter() - start
    return built, ready_s


def busy_share(over_s: float = 0.2) -> float:
    """The share of the cores that is busy; nan where the system does not report it."""

    def ticks():
        with open("/proc/stat") as file:
            values = [int(value) for value in file.readline().split()[1:9]]
        return sum(values), values[3] + values[4]

    try:
        total, idle = ticks()
        time.sleep(over_s)
        total_after, idle_after = ticks()
    except OSError:
        return float("nan")
    return 1 - (idle_after - idle) / max(1, total_after - total)


def wait_for_quiet(at_most_s: float) -> bool:
    """Wait for an idle machine; returns whether it is idle."""
    until = time.monotonic() + at_most_s
    while (quiet := busy_share() < 0.08) is False and time.monotonic() < until:
        pass
    return quiet


def measure(step_chunk: Callable[[], int]) -> float:
    """Steps per second over one slice."""
    start, steps = time.perf_counter(), 0
    while (spent := time.perf_counter() - start) < SLICE_S:
        steps += step_chunk()
    return steps / spent


def run(env_id: str, copies: int, workers: int, rounds: int, wait_s: float) -> dict:
    """All figures, as JSON values."""
    built, ready_s = contenders(env_id, copies, workers)
    quiet = []

    def slice_of(step_chunk: Callable[[], int]) -> float:
        quiet.append(wait_for_quiet(wait_s))
        return measure(step_chunk)

    figures = in_turn({name: partial(slice_of, step_chunk) for name, (step_chunk, _) in built.items()}, rounds)
    for _, close in built.values():
        close()
    ratios = RATIOS + (ENVPOOL_RATIOS if "envpool" in figures else ())
    return {
        "env": env_id,
        "copies": copies,
        "workers": workers,
        "rounds": rounds,
        "began_on_an_idle_machine": sum(quiet) / len(quiet),
        "steps_per_s": {name: spread(values) for name, values in figures.items()},
        "ratios": {f"{one}/{other}": compare(figures, one, other)["ratio"] for one, other in ratios},
        "ready_s": ready_s,
        "machine": machine(("gymnasium", "numpy", "Box2D")),
    }


def show(result: dict) -> None:
    """The figures as a table."""
    print(f"{result['env']}, {result['copies']} copies, {result['workers']} processes, {result['rounds']} rounds")
    for name, rate in result["steps_per_s"].items():
        figures = "{median:>10,.0f} [{min:,.0f} .. {max:,.0f}]".format(**rate)
        print(f"  {name:16} {figures} steps/s, ready after {result['ready_s'][name]:.2f} s")
    for name, ratio in result["ratios"].items():
        print("  {:32} {median:.2f} [{min:.2f} .. {max:.2f}]".format(name, **ratio))
    print(f"  {', '.join(f'{name} {value}' for name, value in result['machine'].items())}")
    print(f"  {result['began_on_an_idle_machine']:.0%} of the slices began on an idle machine")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--env", default="LunarLander-v3", help="Gymnasium id")
    parser.add_argument("--copies", type=int, default=64)
    parser.add_argument("--workers", type=int, default=2, help="processes of ours, this one included")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--wait", type=float, default=0.0, help="seconds to wait for an idle machine before a slice")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    result = run(arguments.env, arguments.copies, arguments.workers, arguments.rounds, arguments.wait)
    if arguments.json:
        print(json.dumps(result, indent=2))
    else:
        show(result)


if __name__ == "__main__":
    main()
