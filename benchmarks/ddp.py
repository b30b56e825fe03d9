"""Env steps per second of PPO on two ranks and on one: a 1024×1024 network, 4,096 rows per minibatch, a thread each.

    python -m benchmarks.ddp [--widths 1024 1024] [--rows N] [--iterations K] [--ranks N] [--device D] [--rounds R]
        [--json]

Both sides collect and learn from the same number of steps, in turn; each rank steps its share of the copies and has its
share of every minibatch. A first iteration warms up. It also prints the largest difference between the parameters that
the sides end with. `--device cuda` takes a GPU per rank, and NCCL.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import numpy as np

from benchmarks.interleave import as_json, compare, in_turn, machine, print_results

COPIES = 64
EPOCHS = 2


def train(args: argparse.Namespace) -> None:
    """One rank: prints the rate, and leaves its parameters in the folder."""
    import torch
    import torch.distributed as dist
    from threadpoolctl import threadpool_limits

    from agents import AGENTS
    from agents.config import NetworkConfig, PPOConfig
    from agents.ranks import Ranks
    from benchmarks.noise_vector import NoiseVector

    torch.set_num_threads(1)
    threadpool_limits(1, user_api="blas")
    device = f"cuda:{args.rank}" if args.device == "cuda" else "cpu"
    if device != "cpu":
        torch.cuda.set_device(device)
    together = {}
    if args.of > 1:
        dist.init_process_group(
            "gloo" if device == "cpu" else "cpu:gloo,cuda:nccl",
            store=dist.FileStore(str(args.folder / "store"), args.of),
            rank=args.rank,
            world_size=args.of,
            timeout=timedelta(minutes=10),
        )
        together["ranks"] = Ranks()
    config = PPOConfig(
        n_envs=COPIES,
        n_steps=args.rows // COPIES,
        batch_size=args.rows,
        n_epochs=EPOCHS,
        network=NetworkConfig(widths=args.widths),
    )
    generators = {name: np.random.default_rng([1, i]) for i, name in enumerate(("init", "policy", "minibatch"))}
    agent = AGENTS["ppo"].build(
        config, NoiseVector(COPIES // args.of), generators=generators, total_steps=10**9, device=device, **together
    )
    agent.start(list(range(COPIES)))
    agent.iterate()
    before, started = agent.env_steps, time.perf_counter()
    for _ in range(args.iterations):
        agent.iterate()
    rate = (agent.env_steps - before) / (time.perf_counter() - started)
    if args.rank == 0:
        np.save(args.folder / "parameters.npy", agent.flat.parameter.detach().cpu().numpy())
        print(json.dumps(rate))


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--widths", type=int, nargs="+", default=[1024, 1024])
    parser.add_argument("--rows", type=int, default=4096, help="of an iteration and of its minibatch")
    parser.add_argument("--iterations", type=int, default=3)
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--rank", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--of", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.rank is not None:
        train(args)
        return
    parameters: dict[int, np.ndarray] = {}

    def rate(count: int) -> float:
        with tempfile.TemporaryDirectory() as folder:
            own = [*map(str, ["--rows", args.rows, "--iterations", args.iterations, "--device", args.device])]
            own += ["--widths", *map(str, args.widths), "--folder", folder, "--of", str(count)]
            command = [sys.executable, "-m", "benchmarks.ddp", *own, "--rank"]
            environment = {"GLOO_SOCKET_IFNAME": "lo", **os.environ} if sys.platform == "linux" else None
            ranks = [
                subprocess.Popen([*command, str(rank)], stdout=subprocess.PIPE, text=True, env=environment)
                for rank in range(count)
            ]
            try:
                outputs = [process.communicate(timeout=600)[0] for process in ranks]
            finally:
                for process in ranks:
                    process.kill()
            if any(process.returncode for process in ranks):
                raise SystemExit(f"a side of {count} ranks failed")
            parameters[count] = np.load(Path(folder) / "parameters.npy")
            return float(outputs[0])

    ours = f"{args.ranks} ranks"
    figures = in_turn({ours: lambda: rate(args.ranks), "1 rank": lambda: rate(1)}, args.rounds)
    results = {"steps per second": compare(figures, ours, "1 rank")}
    difference = float(np.abs(parameters[args.ranks] - parameters[1]).max())
    load = os.getloadavg() if hasattr(os, "getloadavg") else None
    if args.json:
        print(as_json("ddp", {**results, "largest difference": difference, "load": load}))
        return
    print(f"PPO, network {args.widths}, {args.rows} rows, {args.device}; load {load}; {machine()}")
    print_results(results)
    print(f"  largest difference of a parameter: {difference:.1e}")


if __name__ == "__main__":
    main()
