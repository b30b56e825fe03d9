"""Microseconds per call of experience replay on a Redis server of this machine, compared with replay in memory.

    python -m benchmarks.redis_replay [--capacity C] [--rounds R] [--json]

Full buffers of a million steps, batches of 256, prioritised: a sample and the update of its priorities, with
LunarLander's observations (8 numbers) and with those of a web page (1,541 numbers, a tenth of the steps). `add`: one
step of 8 copies. The server keeps its append-only file. Needs `redis-server`.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from agents.replay import ReplayBuffer
from benchmarks.gae import microseconds
from benchmarks.interleave import as_json, compare, in_turn, machine, print_results
from benchmarks.replay import ALPHA, BATCH, BETA, COPIES, TRUNCATED, Call
from rl_eval.net import listening_socket

OBSERVATIONS = {"8 numbers": (8, 1), "1,541 numbers": (1541, 10)}  # numbers, and what the capacity is divided by


@contextmanager
def server() -> Iterator[str]:
    """The address of a server that ends with the block."""
    import redis

    with listening_socket("127.0.0.1", 0) as probe:
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "yes"]
        process = subprocess.Popen([*command, "--dir", folder], stdout=subprocess.DEVNULL)
        try:
            with redis.Redis(port=port) as client:
                for _ in range(200):
                    try:
                        client.ping()
                        break
                    except redis.ConnectionError:
                        time.sleep(0.05)
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            process.kill()
            process.wait()


def calls(capacity: int, size: int, storage: str) -> tuple[Call, Call]:
    """On a full buffer: a sample with the update of its priorities; and one step of every copy."""
    rng = np.random.default_rng(0)
    buffer = ReplayBuffer(capacity, COPIES, (size,), gamma=0.99, priority_alpha=ALPHA, storage=storage)
    steps = [
        (
            rng.normal(size=(COPIES, size)).astype(np.float32), rng.integers(0, 4, COPIES), rng.normal(size=COPIES),
            np.zeros(COPIES, bool), rng.random(COPIES) < TRUNCATED, np.zeros((COPIES, size), np.float32),
        )
        for _ in range(500)
    ]  # fmt: skip
    for number in range(buffer.rows + 1):
        buffer.add(*steps[number % len(steps)])
    buffer.update_priorities(np.arange(buffer.size), rng.exponential(size=buffer.size))
    errors, position = rng.exponential(size=BATCH).astype(np.float32), [0]

    def sample() -> Any:
        batch = buffer.sample(BATCH, rng, beta=BETA)
        buffer.update_priorities(batch.index, errors)
        return batch

    def add() -> None:
        buffer.add(*steps[position[0] % len(steps)])
        position[0] += 1

    return sample, add


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--capacity", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args(argv)
    if shutil.which("redis-server") is None:
        sys.exit("redis-server is not installed: apt-get install redis-server")
    results: dict[str, Any] = {}
    for name, (size, divisor) in OBSERVATIONS.items():
        with server() as address:
            both = {place: calls(args.capacity // divisor, size, place) for place in ("memory", address)}
            for index, what in enumerate(("sample and update", "add")):
                timed = {"redis": both[address][index], "memory": both["memory"][index]}
                for call in timed.values():
                    call()
                figures = in_turn(
                    {key: lambda call=call: microseconds(call) for key, call in timed.items()}, args.rounds
                )
                results[f"{what}, {name}"] = compare(figures, "redis", "memory", less=True)
            del both, timed
    if args.json:
        print(as_json("redis_replay", results))
        return
    print(f"microseconds per call, batch {BATCH}, capacity {args.capacity:,}; {machine()}")
    print_results(results)


if __name__ == "__main__":
    main()
