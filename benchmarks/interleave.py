"""Running the sides of a benchmark in turn, and the ratio of their figures."""

from __future__ import annotations

import json
import math
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from typing import Any


def machine(packages: Sequence[str] = ("torch", "gymnasium", "stable-baselines3", "numpy")) -> dict[str, Any]:
    """The machine and the versions that were measured."""
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        **{name: version(name) for name in packages},
    }


def _processor() -> str:
    """The model of the processor, if the system names it."""
    try:
        with open("/proc/cpuinfo") as file:
            names = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()


def process(
    module: str, *arguments: str, python: str = sys.executable, environment: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """One side as a process of its own; it prints one line of JSON last.

    `--started-at` passes the start time on `time.perf_counter`, which processes share. So times measured from it
    include the start of the interpreter and every import.

    Args:
        python: the interpreter, where the side has an environment of its own.
        environment: variables that are set for it.
    """
    command = [python, "-m", module, *arguments, "--started-at", repr(time.perf_counter())]
    done = subprocess.run(
        command, stdout=subprocess.PIPE, text=True, check=True, env={**os.environ, **(environment or {})}
    )
    return json.loads(done.stdout.strip().splitlines()[-1])


def in_turn(sides: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Run each side once per round, in an order that alternates, so that a slow minute affects both."""
    figures: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(rounds):
        order = list(sides) if turn % 2 == 0 else list(reversed(sides))
        for name in order:
            figures[name].append(sides[name]())
            print(f"  round {turn + 1}/{rounds}  {name:<24} {show(figures[name][-1]):>12}", file=sys.stderr, flush=True)
    return figures


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, minimum and maximum."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def compare(figures: Mapping[str, Sequence[float]], ours: str, peer: str, *, less: bool = False) -> dict[str, Any]:
    """The spread of both sides, and of the ratio within rounds: how many times better ours is.

    Args:
        less: less is better (seconds, bytes), so the ratio is the peer's figure over ours.
    """
    pairs = zip(figures[ours], figures[peer], strict=True)
    ratios = [peer_value / our_value if less else our_value / peer_value for our_value, peer_value in pairs]
    return {ours: spread(figures[ours]), peer: spread(figures[peer]), "ratio": spread(ratios)}


def show(value: float) -> str:
    """A figure with three significant digits."""
    if not math.isfinite(value):
        return "not reached"
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def print_results(results: Mapping[str, Mapping[str, Mapping[str, float]]]) -> None:
    """Print results of `compare`: per heading, a row for each side and one for the ratio."""
    for heading, sides in results.items():
        for name, figures in sides.items():
            print(f"  {heading:<20} {name:<22} " + ", ".join(f"{k} {show(v)}" for k, v in figures.items()))


def as_json(name: str, results: Mapping[str, Any]) -> str:
    """All results as JSON; a figure that was not reached is null."""

    def plain(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {key: plain(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [plain(item) for item in value]
        return None if isinstance(value, float) and not math.isfinite(value) else value

    return json.dumps(plain({"benchmark": name, "machine": machine(), **results}), indent=2)
