"""Env steps per second of the same work, ours and a peer's, with and without the start-up.

    python -m benchmarks.same_work [--peer sb3|sbx] [--env lunarlander|cartpole] [--agent ppo a2c dqn] [--steps N]
        [--backend B] [--processor-time] [--rounds R] [--json]

LunarLander-v3 or CartPole-v1 with the settings of RL Baselines3 Zoo. Both sides step Gymnasium's environments and use
one thread; the peer's environments do not render. Learning rates and clip ranges are constant. SBX (Stable-Baselines3
in JAX) compiles while it starts, which `process` has and `steady` has not. It needs an environment of its own, since
JAX is large and our environment does not have it:

    python -m venv sbx && sbx/bin/pip install sbx-rl 'gymnasium[box2d,classic-control]'
    python -m benchmarks.same_work --peer sbx --peer-python sbx/bin/python --agent ppo dqn

`process` counts from the start of the process, imports included; `steady` leaves out the first tenth of the steps and
all before it. `--processor-time` counts seconds of the processor, for a machine with other work: both sides have one
process and one thread. `--backend envpool` steps our side with EnvPool, which is different work, so it is a separate
run.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence

from benchmarks.interleave import as_json, compare, in_turn, machine, print_results, process
from benchmarks.peer_models import IDS, PEERS, SETTINGS, ZOO, after_updates, peer_model

WARM_UP = 0.1  # of the steps
STEPS = {"ppo": 196_608, "a2c": 196_608, "dqn": 20_000}  # DQN uses a step about 128 times
ONE_THREAD = {"XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1", "OMP_NUM_THREADS": "1"}


def ours(args: argparse.Namespace, tick: Callable[[int], bool]) -> int:
    """Env steps taken by our agent; `tick` is called after each update."""
    import torch
    from pydantic import TypeAdapter
    from threadpoolctl import threadpool_limits

    from agents import AGENTS
    from rl_eval import domains, seeding

    torch.set_num_threads(1)
    threadpool_limits(1, user_api="blas")
    agent, steps = args.agent[0], args.steps
    config = TypeAdapter(AGENTS[agent].config).validate_python(SETTINGS[args.env][agent])
    env = domains.validate({"name": args.env, "backend": args.backend})
    vector = domains.make(env, n_envs=config.n_envs, part="train")
    generators = {name: seeding.generator(1, name) for name in ("init", "policy", "minibatch")}
    learner = AGENTS[agent].build(config, vector, generators=generators, total_steps=steps)
    learner.start(list(range(config.n_envs)))
    while learner.env_steps < steps:
        learner.iterate()
        tick(learner.env_steps)
    return learner.env_steps


def peer(args: argparse.Namespace, tick: Callable[[int], bool]) -> int:
    """Env steps taken by the peer's agent."""
    model = peer_model(args.agent[0], env=args.env, peer=args.peer)
    model.learn(args.steps, after_updates(tick))
    return model.num_timesteps


def side(args: argparse.Namespace) -> dict[str, float]:
    """The rates of one side, in this process."""
    clock = time.process_time if args.processor_time else time.perf_counter
    started_at = 0.0 if args.processor_time else args.started_at
    warm: list[tuple[float, int]] = []

    def tick(env_steps: int) -> bool:
        if not warm and env_steps >= WARM_UP * args.steps:
            warm.append((clock(), env_steps))
        return True

    steps_taken = {"ours": ours, "peer": peer}[args.side](args, tick)
    ended = clock()
    since, before = warm[0]
    return {"process": steps_taken / (ended - started_at), "steady": (steps_taken - before) / (ended - since)}


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", choices=PEERS, default="sb3")
    parser.add_argument("--peer-python", default=sys.executable, help="the interpreter of an environment with the peer")
    parser.add_argument("--env", choices=SETTINGS, default="lunarlander")
    parser.add_argument("--agent", choices=ZOO, nargs="+", default=list(ZOO))
    parser.add_argument("--steps", type=int, help=", ".join(f"{name}: {steps:,}" for name, steps in STEPS.items()))
    parser.add_argument("--backend", choices=("gymnasium", "envpool"), default="gymnasium", help="of our side")
    parser.add_argument("--processor-time", action="store_true")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--side", choices=("ours", "peer"), help=argparse.SUPPRESS)
    parser.add_argument("--started-at", type=float, help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.side:
        print(json.dumps(side(args)))
        return
    results = {}
    for agent in args.agent:
        steps = args.steps or STEPS[agent]
        arguments = ("--agent", agent, "--steps", str(steps), "--env", args.env, "--peer", args.peer)
        steady: dict[str, list[float]] = {"ours": [], args.peer: []}

        def measure(
            name: str, side_name: str, python: str, arguments: tuple[str, ...] = arguments, steady: dict = steady
        ) -> float:
            more = ("--backend", args.backend, "--side", side_name, *["--processor-time"] * args.processor_time)
            rates = process("benchmarks.same_work", *arguments, *more, python=python, environment=ONE_THREAD)
            steady[name].append(rates["steady"])
            return rates["process"]

        sides = {
            "ours": lambda measure=measure: measure("ours", "ours", sys.executable),
            args.peer: lambda measure=measure: measure(args.peer, "peer", args.peer_python),
        }
        results[f"{agent}, process"] = compare(in_turn(sides, args.rounds), "ours", args.peer)
        results[f"{agent}, steady"] = compare(steady, "ours", args.peer)
    if args.json:
        print(
            as_json(
                "same_work",
                {
                    "backend": args.backend,
                    "processor_time": args.processor_time,
                    "env": args.env,
                    "peer": args.peer,
                    "steps": args.steps or STEPS,
                    **results,
                },
            )
        )
        return
    second = "second of processor time" if args.processor_time else "second"
    what = f"env steps a {second}, {IDS[args.env]}, Zoo settings, ours on {args.backend}"
    print(f"{what}; {machine()}")
    print_results(results)


if __name__ == "__main__":
    main()
