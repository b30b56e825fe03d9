"""Steps per second of `env=prompt` from the table of scores, with random legal actions, in one process.

    python -m benchmarks.prompt_stepping [--copies 1 8 64] [--rounds 5] [--json]

The numbers of copies run in turn, so that other load on the machine affects all of them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np

from benchmarks.stepping_rates import measure_rates
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
    measure_rates(
        lambda copies: {f"{copies} copies": stepping(copies)},
        "steps",
        arguments,
        description=__doc__,
        copies=(1, 8, 64),
    )


if __name__ == "__main__":
    main()
