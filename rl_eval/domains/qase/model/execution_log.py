"""Who ran when and how it ended: the joined history that features and environments read, as columns."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from rl_eval.domains.qase.model.results import FAILED_STATUSES, PASSED_STATUSES, Results

PASS, FAIL, NO_VERDICT = 0, 1, -1


@dataclass(frozen=True)
class ExecutionLog:
    """R executions of C cases in order of their cycles; within a cycle, in the order of the source.

    Attributes:
        cycles: the names of the cycles, in the order of time.
        case: `[R]` int32, index into the project's cases.
        cycle: `[R]` int32, index into `cycles`, not falling.
        verdict: `[R]` int8: 1 failed or broken, 0 passed, -1 neither (blocked, skipped, invalid, muted, a status of
            the team's own).
        duration_ms: `[R]` float64, NaN where not known.
        started: `[R]` float64, seconds since 1970, NaN where not known.
        earlier_verdicts: `[P]` int8, the earlier verdicts that the source itself recorded, newest first, of all
            executions one after another; None where it recorded none.
        earlier_start: `[R + 1]` int64, where in `earlier_verdicts` those of each execution begin.
    """

    n_cases: int
    cycles: tuple[str, ...] = field(repr=False)
    case: np.ndarray = field(repr=False)
    cycle: np.ndarray = field(repr=False)
    verdict: np.ndarray = field(repr=False)
    duration_ms: np.ndarray = field(repr=False)
    started: np.ndarray = field(repr=False)
    earlier_verdicts: np.ndarray | None = field(default=None, repr=False)
    earlier_start: np.ndarray | None = field(default=None, repr=False)

    def __len__(self) -> int:
        return len(self.case)


def result_verdicts(results: Results) -> np.ndarray:
    """`[R]` int8: what each result says of the code under test. A muted result says nothing."""
    by_status = np.array(
        [
            FAIL if name in FAILED_STATUSES else PASS if name in PASSED_STATUSES else NO_VERDICT
            for name in results.statuses
        ],
        np.int8,
    )
    found = by_status[results.status] if len(results) else np.empty(0, np.int8)
    return np.where(results.muted, np.int8(NO_VERDICT), found)
