"""Run two sides in turn and say how they compare."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from typing import Any


def machine(packages: Sequence[str] = ("torch", "gymnasium", "stable-baselines3", "numpy")) -> dict[str, Any]:
    """What the figures were measured on."""
    return {
        "processor": platform.processor() or platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        **{name: version(name) for name in packages},
    }


def process(module: str, *arguments: str) -> dict[str, float]:
    """One side as a process of its own; it prints one line of JSON last."""
    done = subprocess.run([sys.executable, "-m", module, *arguments], capture_output=True, text=True, check=True)
    return json.loads(done.stdout.strip().splitlines()[-1])


def in_turn(sides: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Each side once a round, in an order that alternates, so that a slow minute hits both."""
    figures: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(rounds):
        order = list(sides) if turn % 2 == 0 else list(reversed(sides))
        for name in order:
            figures[name].append(sides[name]())
            print(f"  round {turn + 1}/{rounds}  {name:<24} {figures[name][-1]:>12,.0f}", file=sys.stderr, flush=True)
    return figures


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, minimum and maximum."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def compare(figures: Mapping[str, Sequence[float]], ours: str, peer: str) -> dict[str, Any]:
    """The spread of each side, and of the ratio of a round's two figures."""
    ratios = [a / b for a, b in zip(figures[ours], figures[peer], strict=True)]
    return {ours: spread(figures[ours]), peer: spread(figures[peer]), "ratio": spread(ratios)}


def tell(found: Mapping[str, Mapping[str, Mapping[str, float]]]) -> None:
    """Print what `compare` found, a line a side and one for the ratio, under each heading."""
    for heading, sides in found.items():
        for name, figures in sides.items():
            digits = "{:.2f}" if name == "ratio" else "{:,.0f}"
            print(f"  {heading:<16} {name:<18} " + ", ".join(f"{k} {digits.format(v)}" for k, v in figures.items()))
