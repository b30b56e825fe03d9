"""Test cases per second that `env=qase` steps with random levels, in one process.

    python -m benchmarks.qase_stepping [--copies 64 256 1024] [--rounds 5] [--json]

The numbers of copies run in turn, so that other load on the machine affects all of them.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence

import numpy as np

from benchmarks.interleave import in_turn, machine, spread
from rl_eval.domains import make, validate

STEPS = 1000


def stepping(copies: int) -> Callable[[], float]:
    """A function that measures cases per second over copies of the training part of the embedded project."""
    vector = make(validate({"name": "qase"}), n_envs=copies, part="train")
    vector.reset(seed=0)
    levels = np.random.default_rng(0).integers(0, 8, (STEPS, copies))

    def measure() -> float:
        start = time.perf_counter()
        for actions in levels:
            vector.step(actions)
        return STEPS * copies / (time.perf_counter() - start)

    return measure


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--copies", type=int, nargs="+", default=[64, 256, 1024])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args(arguments)
    figures = in_turn({f"{copies} copies": stepping(copies) for copies in args.copies}, args.rounds)
    results = {name: spread(values) for name, values in figures.items()}
    if args.json:
        print(json.dumps({"machine": machine(("numpy",)), "cases_per_s": results}))
        return
    for name, values in results.items():
        print(f"{name:<14}{values['median']:>12,.0f} cases/s  ({values['min']:,.0f} to {values['max']:,.0f})")


if __name__ == "__main__":
    main()
