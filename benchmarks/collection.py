"""Decisions a second through collection, compared with `rl-eval serve` of the same policy, in turn.

    python -m benchmarks.collection [--size 64] [--clients 16] [--seconds 5] [--rounds 3] [--json]

One policy of `--size` numbers (256, 256, 128), with its first weights. The sides:

- `rl-eval serve`: the run itself. Each decision is stored before it is answered.
- `production`: `rl-eval production serve` with `rl-eval production collect`. Each decision is recorded before it is
  answered, and the collector takes it from the queue, judges it and stores it meanwhile, on the same cores.
- `…, rewards`: each decision gets its reward, which is a second request.

A round ends when the collector has stored all that was answered; `stored a second` counts that time as well. The load
generator is the one of `benchmarks.serving`. It, the server and the collector share two cores.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml

from benchmarks.interleave import as_json, compare, machine, print_results
from benchmarks.serving import ROOT, answer, request_of, rows, started, write_policy
from rl_eval.net import LOOPBACK, listening_socket

PLAIN, COLLECTED = "rl-eval serve", "production"
PLAIN_REWARDED, REWARDED = "rl-eval serve, rewards", "production, rewards"
SIDES = (PLAIN, COLLECTED, PLAIN_REWARDED, REWARDED)
UNITS = 1000
START_S, DRAIN_S = 60.0, 120.0


async def ask(port: int, bodies: list[bytes], first: int, until: float, reward: bool) -> int:
    """One connection, one request at a time; returns how many decisions were made, and rewarded where asked."""
    reader, writer = await asyncio.open_connection(LOOPBACK, port)
    turn = first
    while time.perf_counter() < until:
        content = await answer(reader, writer, bodies[turn % len(bodies)])
        turn += 1
        if reward:
            body = {"decision_id": json.loads(content)["decision_id"], "reward": 1.0, "done": True}
            await answer(reader, writer, request_of("/store_experience", port, body))
    writer.close()
    return turn - first


def load(port: int, size: int, clients: int, seconds: float, reward: bool) -> float:
    """Decisions a second."""
    bodies = [
        request_of("/select_action", port, {"observation": row, "unit": f"unit{number % UNITS}"})
        for number, row in enumerate(rows(size))
    ]

    async def all_of_them() -> int:
        until = time.perf_counter() + seconds
        return sum(await asyncio.gather(*(ask(port, bodies, i, until, reward) for i in range(clients))))

    return asyncio.run(all_of_them()) / seconds


def measure(port: int, options: argparse.Namespace, reward: bool, seconds: float) -> float:
    """`load` in a process of its own."""
    arguments = ["--port", port, "--size", options.size, "--clients", options.clients, "--seconds", seconds]
    command = [sys.executable, "-m", "benchmarks.collection", *map(str, arguments), "--load", str(int(reward))]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    return float(done.stdout.splitlines()[-1])


class Collection:
    """What the queue of the production server holds, and what its store has."""

    def __init__(self, config: Path):
        from rl_eval.production.config import load_config
        from rl_eval.production.queues import open_queue
        from rl_eval.production.store import Store

        read = load_config(config)
        self.queue, self.store = open_queue(read.collect, read.path), Store(read.collect.store, read.path)

    def drained(self) -> int:
        """How many decisions are stored, once the queue is empty."""
        end = time.monotonic() + DRAIN_S
        while self.queue.waiting()[0]:
            if time.monotonic() > end:
                raise SystemExit(f"the collector has not stored everything after {DRAIN_S:g} s")
            time.sleep(0.02)
        return self.store.counts().get("decisions", 0)


def processor_seconds(processes: list[int]) -> float:
    """Processor time that processes have used."""
    total = 0
    for process in processes:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Measure all sides in turn, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--load", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.load is not None:
        print(load(options.port, options.size, options.clients, options.seconds, bool(options.load)))
        return
    rates: dict[str, list[float]] = {side: [] for side in SIDES}
    costs: dict[str, list[float]] = {side: [] for side in SIDES}
    stored: dict[str, list[float]] = {COLLECTED: [], REWARDED: []}
    with tempfile.TemporaryDirectory() as temporary, contextlib.ExitStack() as stack:
        folder = Path(temporary)
        run, _ = write_policy(folder, options.size)
        ports = []
        for _ in range(2):
            with listening_socket(LOOPBACK, 0) as free:
                ports.append(free.getsockname()[1])
        config = folder / "production.yaml"
        config.write_text(yaml.safe_dump({"name": "served", "serve": {"host": LOOPBACK, "port": ports[1]}}))
        cli = [sys.executable, "-m", "rl_eval.cli"]
        plain = [*cli, "serve", str(run), "--port", str(ports[0]), "--folder", "own"]
        server = [*cli, "production", "serve", str(config), "--policy", str(run)]
        own = [stack.enter_context(started(plain, ports[0], folder))]
        both = [stack.enter_context(started(server, ports[1], folder))]
        collector = subprocess.Popen(
            [*cli, "production", "collect", str(config)], cwd=folder, stdout=subprocess.PIPE, text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        stack.callback(lambda: (collector.kill(), collector.communicate()))
        assert collector.stdout is not None
        if not collector.stdout.readline():
            raise SystemExit("the collector does not start")
        both.append(collector.pid)
        collection = Collection(config)
        for port in ports:
            measure(port, options, False, 1.0)  # warm
        for turn in range(options.rounds):
            for side in SIDES if turn % 2 == 0 else reversed(SIDES):
                port, processes = (ports[1], both) if side in stored else (ports[0], own)
                rewarded = side in (PLAIN_REWARDED, REWARDED)
                before, used = collection.drained(), processor_seconds(processes)
                rates[side].append(measure(port, options, rewarded, options.seconds))
                begun = time.perf_counter()
                count = rates[side][-1] * options.seconds
                if side in stored:
                    more = collection.drained() - before
                    if more < int(count):
                        raise SystemExit(f"{count:.0f} decisions were answered, and {more} of them stored")
                    stored[side].append(more / (options.seconds + time.perf_counter() - begun))
                costs[side].append(1e6 * (processor_seconds(processes) - used) / count)
                print(f"  round {turn + 1}  {side:<28}{rates[side][-1]:8,.0f} a second", file=sys.stderr, flush=True)
    figures: dict[str, Any] = {}
    for side, peer in ((COLLECTED, PLAIN), (REWARDED, PLAIN_REWARDED)):
        figures[f"{side}: a second"] = compare(rates, side, peer)
        figures[f"{side}: stored a second"] = compare({**rates, **stored}, side, peer)
        figures[f"{side}: µs of processor"] = compare(costs, side, peer, less=True)
    if options.json:
        print(as_json("collection", {"results": figures}))
    else:
        print(machine(("fastapi", "uvicorn", "sqlalchemy", "numpy")))
        print_results(figures)


if __name__ == "__main__":
    main()
