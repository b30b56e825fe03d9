"""Test cases per second that `env=qase` steps with random levels, in one process.

    python -m benchmarks.qase_stepping [--copies 64 256 1024] [--rounds 5] [--json]

The numbers of copies run in turn, so that other load on the machine affects all of them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np

from benchmarks.stepping_rates import measure_rates
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
    measure_rates(
        lambda copies: {f"{copies} copies": stepping(copies)},
        "cases",
        arguments,
        description=__doc__,
        copies=(64, 256, 1024),
    )


if __name__ == "__main__":
    main()
