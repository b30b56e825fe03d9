"""The execution log: which case ran in which cycle and how it ended, as columns."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from rl_eval.domains.qase.model.results import FAILED_STATUSES, PASSED_STATUSES, Results

PASS, FAIL, NO_VERDICT = 0, 1, -1


@dataclass(frozen=True)
class ExecutionLog:
    """R executions of C cases, ordered by cycle and, within a cycle, as in the source.

    Attributes:
        cycles: names of the cycles, in order of time.
        case: `[R]` int32, index into the project's cases.
        cycle: `[R]` int32, index into `cycles`, never decreasing.
        verdict: `[R]` int8: 1 failed or broken, 0 passed, -1 neither (blocked, skipped, invalid, muted, or
            a custom status).
        duration_ms: `[R]` float64, NaN if unknown.
        started: `[R]` float64, seconds since 1970, NaN if unknown.
        earlier_verdicts: `[P]` int8, earlier verdicts recorded by the source itself, newest first, concatenated over
            the executions; None if it records none.
        earlier_start: `[R + 1]` int64, where in `earlier_verdicts` each execution begins.
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
    """Verdict of each result, int8 `[R]`. Muted results have no verdict."""
    by_status = np.array(
        [
            FAIL if name in FAILED_STATUSES else PASS if name in PASSED_STATUSES else NO_VERDICT
            for name in results.statuses
        ],
        np.int8,
    )
    by_result = by_status[results.status] if len(results) else np.empty(0, np.int8)
    return np.where(results.muted, np.int8(NO_VERDICT), by_result)
