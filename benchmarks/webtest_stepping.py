"""Actions per second that `env=webtest` takes at random in generated applications, in one process.

    python -m benchmarks.webtest_stepping [--copies 64 256 1024] [--rounds 5] [--json]

The numbers of copies run in turn, so that other load on the machine affects all of them. Seconds of the processor are
counted too: they say what one core does when it is not shared.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np

from benchmarks.stepping_rates import measure_rates
from rl_eval.domains import make, validate

STEPS = 100


def stepping(copies: int, clock: Callable[[], float] = time.perf_counter) -> Callable[[], float]:
    """A function that measures actions per second over copies of 50 training applications."""
    vector = make(validate({"name": "webtest", "applications": 50}), n_envs=copies, part="train")
    rng = np.random.default_rng(0)
    mask = vector.reset(seed=0)[1]["action_mask"]
    for _ in range(70):  # every application was drawn once
        mask = vector.step(np.where(mask, rng.random(mask.shape), -1.0).argmax(axis=1))[4]["action_mask"]

    def measure() -> float:
        nonlocal mask
        elapsed = 0.0
        for _ in range(STEPS):
            actions = np.where(mask, rng.random(mask.shape), -1.0).argmax(axis=1)
            start = clock()
            mask = vector.step(actions)[4]["action_mask"]
            elapsed += clock() - start
        return STEPS * copies / elapsed

    return measure


def _sides(copies: int) -> dict[str, Callable[[], float]]:
    clocks = {"": time.perf_counter, ", processor time": time.process_time}
    return {f"{copies} copies{name}": stepping(copies, clock) for name, clock in clocks.items()}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and print."""
    measure_rates(_sides, "actions", arguments, description=__doc__, copies=(64, 256, 1024))


if __name__ == "__main__":
    main()
