"""Latency and throughput of the policy server, compared with a plain handler and MLflow's server, in turn.

    python -m benchmarks.serving [--clients 1,8,64] [--seconds 3] [--rounds 3] [--json]

One policy: the 1536-d network of `experiment=prompt_report` (256, 256, 128), with its first weights. The sides:

- `rl-eval serve`: the run itself. Each decision is stored before it is answered.
- `plain handler`: `plain_handler.py`, FastAPI and onnxruntime in 30 lines. It stores nothing.
- `mlflow models serve`: the same ONNX file as an MLflow model; left out where the package mlflow is not installed.

The load generator is a process of its own, one per measurement: so many connections, each with one request at a time,
on raw sockets with bodies made before, so that it costs little. All sides get the same observations.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import importlib.util
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.interleave import as_json, compare, machine, print_results
from rl_eval.net import LOOPBACK, accepts_connections, listening_socket

ROOT = Path(__file__).resolve().parents[1]
SIZE, ACTIONS, WIDTHS = 1536, 6, [256, 256, 128]
OURS, PLAIN, MLFLOW = "rl-eval serve", "plain handler", "mlflow models serve"
PATHS = {
    OURS: ("/select_action", "observation"),
    PLAIN: ("/select_action", "observation"),
    MLFLOW: ("/invocations", ""),
}
START_S = 120.0
BODIES = 64


def write_policy(folder: Path, size: int = SIZE) -> tuple[Path, Path]:
    """A run with the network's first weights, and the same as an ONNX file.

    Args:
        size: of an observation.
    """
    import gymnasium as gym

    from agents import policy as networks
    from agents.config import NetworkConfig
    from agents.export import actor_to_onnx
    from agents.networks import ActorCritic
    from rl_eval import run

    observation = gym.spaces.Box(-np.inf, np.inf, (size,), np.float32)
    action = gym.spaces.Discrete(ACTIONS)
    config = NetworkConfig(widths=WIDTHS, activation="relu")
    network = ActorCritic(size, action, config, np.random.default_rng(0))
    meta = {**networks.metadata(observation, action, config, 10.0), "agent": "ppo", "env": "gym"}
    arrays = networks.pack(network, None, None)
    path = folder / "run"
    run.write_checkpoint(path / "snapshots" / "step_10", "policy", arrays, meta)
    run.write_json(path / "run.json", {"status": "finished", "snapshot": "step_10", "name": "served"})
    run.write_text(path / "config.yaml", "env: {name: gym, id: CartPole-v1}\n")
    file = folder / "policy.onnx"
    described = {key: meta[key] for key in ("obs_shape", "action_space", "clip_obs")}
    file.write_bytes(actor_to_onnx(arrays, meta, {"schema": 1, "env": {"name": "gym"}, **described}))
    return path, file


@contextlib.contextmanager
def started(command: list[str], port: int, cwd: Path) -> Iterator[int]:
    """A server that accepts connections; yields the id of its process."""
    programs = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "PATH": programs}
    with open(cwd / "log.txt", "ab") as log:
        process = subprocess.Popen(command, cwd=cwd, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        until = time.monotonic() + START_S
        while not accepts_connections(f"http://{LOOPBACK}:{port}", 1.0):
            if process.poll() is not None or time.monotonic() > until:
                raise SystemExit(f"{command[:4]} does not start: {(cwd / 'log.txt').read_text()[-2000:]}")
            time.sleep(0.1)
        yield process.pid
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def commands(folder: Path, ports: Mapping[str, int]) -> dict[str, list[str]]:
    """Side -> how it is started."""
    run, file = write_policy(folder)
    sides = {
        OURS: [sys.executable, "-m", "rl_eval.cli", "serve", str(run), "--port", str(ports[OURS]), "--folder", "own"],
        PLAIN: [sys.executable, "-m", "benchmarks.plain_handler", str(file), str(ports[PLAIN])],
    }
    if any(importlib.util.find_spec(name) is None for name in ("mlflow", "pandas")):  # mlflow-skinny serves no model
        print(f"  {MLFLOW}: left out, since the package mlflow is not installed", file=sys.stderr)
        return sides
    import mlflow
    import onnx

    model = folder / "mlflow_model"
    mlflow.onnx.save_model(onnx.load(file), model)
    serve = ["models", "serve", "-m", str(model), "-p", str(ports[MLFLOW]), "--env-manager", "local", "-w", "1"]
    return {**sides, MLFLOW: [sys.executable, "-m", "mlflow", *serve]}


def rows(size: int) -> list[list[float]]:
    """Random observations."""
    return np.random.default_rng(0).standard_normal((BODIES, size)).astype(np.float32).astype(float).round(6).tolist()


def request_of(path: str, port: int, values: Mapping[str, Any]) -> bytes:
    """A whole request."""
    body = json.dumps(values).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: {LOOPBACK}:{port}\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def requests(side: str, port: int) -> list[bytes]:
    """Whole requests with random observations."""
    path, key = PATHS[side]
    return [request_of(path, port, {key: row} if key else {"inputs": {"observations": [row]}}) for row in rows(SIZE)]


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> bytes:
    """The body of the answer to a request."""
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    if b" 200 " not in head.split(b"\r\n", 1)[0]:
        raise SystemExit(f"answered {head[:200]!r}")
    length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
    return await reader.readexactly(length)


async def ask(port: int, bodies: list[bytes], first: int, until: float, durations: list[float]) -> None:
    """One connection, one request at a time."""
    reader, writer = await asyncio.open_connection(LOOPBACK, port)
    turn = first
    while time.perf_counter() < until:
        begun = time.perf_counter()
        await answer(reader, writer, bodies[turn % len(bodies)])
        durations.append(time.perf_counter() - begun)
        turn += 1
    writer.close()


def load(side: str, port: int, clients: int, seconds: float) -> dict[str, float]:
    """Percentiles of latency in ms, and answers a second."""
    bodies, durations = requests(side, port), list[float]()

    async def all_of_them() -> None:
        until = time.perf_counter() + seconds
        await asyncio.gather(*(ask(port, bodies, i, until, durations) for i in range(clients)))

    asyncio.run(all_of_them())
    cuts = statistics.quantiles(durations, n=100)
    return {"p50": 1e3 * cuts[49], "p99": 1e3 * cuts[98], "a second": len(durations) / seconds}


def measure(side: str, port: int, clients: int, seconds: float) -> dict[str, float]:
    """`load` in a process of its own."""
    arguments = ["--load", side, "--port", str(port), "--clients", str(clients), "--seconds", str(seconds)]
    command = [sys.executable, "-m", "benchmarks.serving", *arguments]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Measure every side at every number of clients, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clients", default="1,8,64")
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--load", help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.load:
        print(json.dumps(load(options.load, options.port, int(options.clients), options.seconds)))
        return
    with tempfile.TemporaryDirectory() as temporary, contextlib.ExitStack() as stack:
        folder, ports = Path(temporary), {}
        for side in PATHS:
            with listening_socket(LOOPBACK, 0) as free:
                ports[side] = free.getsockname()[1]
        sides = commands(folder, ports)
        for side, command in sides.items():
            stack.enter_context(started(command, ports[side], folder))
            measure(side, ports[side], 1, 0.5)  # warm
        figures: dict[str, Any] = {}
        for clients in options.clients.split(","):
            rounds: dict[str, list[dict[str, float]]] = {side: [] for side in sides}
            for turn in range(options.rounds):
                for side in list(sides) if turn % 2 == 0 else list(reversed(sides)):
                    rounds[side].append(measure(side, ports[side], int(clients), options.seconds))
                    shown = ", ".join(f"{name} {value:,.2f}" for name, value in rounds[side][-1].items())
                    print(f"  {clients} clients, round {turn + 1}  {side:<20} {shown}", file=sys.stderr, flush=True)
            for peer in list(sides)[1:]:
                for figure, less in (("p50", True), ("a second", False)):
                    values = {side: [r[figure] for r in rounds[side]] for side in (OURS, peer)}
                    unit = "p50, ms" if less else "a second"
                    figures[f"{clients} clients, {unit}"] = figures.get(f"{clients} clients, {unit}", {}) | {
                        (f"times {peer}" if name == "ratio" else name): spread
                        for name, spread in compare(values, OURS, peer, less=less).items()
                    }
    if options.json:
        print(as_json("serving", {"results": figures}))
    else:
        print(machine(("fastapi", "uvicorn", "onnxruntime", "numpy")))
        print_results(figures)


if __name__ == "__main__":
    main()
