"""Steps per second of `env=prompt` from the table of scores, with random legal actions, in one process.

    python -m benchmarks.prompt_stepping [--copies 1 8 64] [--rounds 5] [--json]

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

SLICE_S = 0.5  # per number of copies and round


def stepping(copies: int) -> Callable[[], float]:
    """A function that measures steps per second over copies of the training part of the embedded tasks."""
    vector = make(validate({"name": "prompt"}), n_envs=copies, part="train")
    mask = vector.reset(seed=0)[1]["action_mask"]
    draws = np.random.default_rng(0).random((512, *mask.shape))

    def measure() -> float:
        nonlocal mask
        start, steps = time.perf_counter(), 0
        while (spent := time.perf_counter() - start) < SLICE_S:
            mask = vector.step((draws[steps % len(draws)] * mask).argmax(axis=1))[4]["action_mask"]
            steps += 1
        return steps * copies / spent

    return measure


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--copies", type=int, nargs="+", default=[1, 8, 64])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args(arguments)
    figures = in_turn({f"{copies} copies": stepping(copies) for copies in args.copies}, args.rounds)
    results = {name: spread(values) for name, values in figures.items()}
    if args.json:
        print(json.dumps({"machine": machine(("numpy",)), "steps_per_s": results}))
        return
    for name, values in results.items():
        print(f"{name:<14}{values['median']:>12,.0f} steps/s  ({values['min']:,.0f} to {values['max']:,.0f})")


if __name__ == "__main__":
    main()
