"""The next test cycle: features and expected times of its cases, their order, and what fits in a time budget.

Pure functions of a project and its log; `prioritise` gets the scores from a policy and prints the result.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass, field

import numpy as np

from rl_eval.domains.qase.environment.features import case_features, history_features
from rl_eval.domains.qase.environment.ranking import ran_within
from rl_eval.domains.qase.model.execution_log import NO_VERDICT, ExecutionLog
from rl_eval.domains.qase.model.project import Project, suite_path
from rl_eval.domains.qase.model.verdict_sequence import verdict_sequence
from rl_eval.formatting import spreadsheet_text

VERDICT_NAMES = {0: "passed", 1: "failed", NO_VERDICT: ""}
COLUMNS = (
    "rank", "case_id", "title", "suite", "score", "last_verdict", "failure_rate", "expected_ms", "guessed", "total_ms",
    "within_budget",
)  # fmt: skip
_LONGEST_MS = 1e11  # as in the features


@dataclass(frozen=True)
class NextCycle:
    """The K cases of the next cycle, in project order.

    Attributes:
        case: `[K]` int32, index into the project's cases.
        left_out: reason -> number of cases left out of the cycle.
        features: `[K, 64]` float32, only from earlier cycles.
        runs: `[K]` number of verdicts of each case.
        failures: `[K]` number of failures of each case.
        last_verdict: `[K]` int8, the newest verdict, -1 if there is none.
        expected_ms: `[K]` float64, expected duration; NaN if no duration of any case is known.
        guessed: `[K]` bool, the case has no recorded duration, so the median of all is used.
        skipped: `[K]` bool, the case has executions, and none of them has a verdict.
    """

    case: np.ndarray = field(repr=False)
    left_out: dict[str, int]
    features: np.ndarray = field(repr=False)
    runs: np.ndarray = field(repr=False)
    failures: np.ndarray = field(repr=False)
    last_verdict: np.ndarray = field(repr=False)
    expected_ms: np.ndarray = field(repr=False)
    guessed: np.ndarray = field(repr=False)
    skipped: np.ndarray = field(repr=False)


@dataclass(frozen=True)
class CycleOrder:
    """An order of the K cases of the next cycle.

    Attributes:
        order: `[K]` indices into the cases of the cycle, in running order.
        scores: `[K]` in that order.
        total_ms: `[K]` float64 in that order, expected end time of each case.
        within: number of cases that end within the budget; they are the first ones.
    """

    order: np.ndarray = field(repr=False)
    scores: np.ndarray = field(repr=False)
    total_ms: np.ndarray = field(repr=False)
    within: int


def next_cycle(project: Project, log: ExecutionLog, gone: np.ndarray | None = None) -> NextCycle:
    """The next cycle of a project: all cases that are neither deprecated nor muted.

    Args:
        gone: bool `[C]`, cases that no longer exist; None: all exist.
    """
    cases, left_out = _active_cases(project, np.zeros(len(project.cases), bool) if gone is None else gone)
    extended = log_with_next_cycle(log, cases)
    sequence = verdict_sequence(extended, extended.case)
    start, stop = sequence.start[len(log) :], sequence.stop[len(log) :]
    failures = np.concatenate([[0], np.cumsum(sequence.verdict, dtype=np.int64)])
    last = np.full(len(cases), NO_VERDICT, np.int8)
    last[stop > start] = sequence.verdict[stop[stop > start] - 1]
    expected, guessed = expected_durations(log, cases)
    return NextCycle(
        case=cases,
        left_out=left_out,
        features=next_cycle_features(project, log, cases),
        runs=stop - start,
        failures=failures[stop] - failures[start],
        last_verdict=last,
        expected_ms=expected,
        guessed=guessed,
        skipped=(stop == start) & np.isin(cases, log.case),
    )


def _active_cases(project: Project, gone: np.ndarray) -> tuple[np.ndarray, dict[str, int]]:
    """The cases to order, `[K]`, and the numbers of the others; verdicts of muted cases do not count."""
    deprecated = np.array([case.status == "deprecated" for case in project.cases], bool)
    muted = np.array([case.is_muted for case in project.cases], bool) & ~deprecated
    left_out = {"deprecated": int(deprecated.sum()), "muted": int(muted.sum()), "gone": int(gone.sum())}
    return np.flatnonzero(~(deprecated | muted | gone)).astype(np.int32), left_out


def log_with_next_cycle(log: ExecutionLog, cases: np.ndarray) -> ExecutionLog:
    """The log with one more cycle that has not run yet.

    Args:
        cases: `[K]` the cases of that cycle, indices into the project's cases.
    """
    count = len(cases)
    unknown = np.full(count, np.nan)
    return ExecutionLog(
        n_cases=log.n_cases,
        cycles=(*log.cycles, "the next"),
        case=np.concatenate([log.case, cases]).astype(np.int32),
        cycle=np.concatenate([log.cycle, np.full(count, len(log.cycles))]).astype(np.int32),
        verdict=np.concatenate([log.verdict, np.full(count, NO_VERDICT)]).astype(np.int8),
        duration_ms=np.concatenate([log.duration_ms, unknown]),
        started=np.concatenate([log.started, unknown]),
        earlier_verdicts=log.earlier_verdicts,
        earlier_start=None if log.earlier_start is None else np.pad(log.earlier_start, (0, count), mode="edge"),
    )


def empty_log(project: Project) -> ExecutionLog:
    """The log of a project without any results."""
    integers, numbers = np.zeros(0, np.int32), np.zeros(0)
    return ExecutionLog(len(project.cases), (), integers, integers, np.zeros(0, np.int8), numbers, numbers)


def next_cycle_features(project: Project, log: ExecutionLog, cases: np.ndarray) -> np.ndarray:
    """The 64 features of cases in the cycle after the last of a log: float32 `[K, 64]`."""
    history = history_features(project, log_with_next_cycle(log, cases))[len(log) :]
    return np.concatenate([case_features(project)[cases], history], axis=1)


def expected_durations(log: ExecutionLog, cases: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Expected durations of cases (ms), float64 `[K]`, and which of them are guesses, bool `[K]`.

    The mean over the case's executions with a verdict, since skipped and blocked ones end early. A case without any
    gets the median over all cases; NaN if there are none.
    """
    counted = ~np.isnan(log.duration_ms) & (log.verdict != NO_VERDICT)
    durations = np.minimum(log.duration_ms[counted], _LONGEST_MS)
    count = np.bincount(log.case[counted], minlength=log.n_cases)[cases]
    total = np.bincount(log.case[counted], weights=durations, minlength=log.n_cases)[cases]
    typical = float(np.median(durations)) if len(durations) else np.nan
    return np.where(count > 0, total / np.maximum(count, 1), typical), count == 0


def order_cases(
    expected_ms: np.ndarray, scores: np.ndarray, budget_ms: float, last: np.ndarray | None = None
) -> CycleOrder:
    """Order cases by score, highest first, equal scores as listed, and count those before the first that does not fit.

    Args:
        expected_ms: `[K]` expected duration of each case.
        scores: `[K]` the highest runs first.
        budget_ms: infinite for no budget.
        last: bool `[K]`, cases that run after all others, with any score; None: there are none.
    """
    after = np.zeros(len(scores), bool) if last is None else last
    order = np.lexsort((-scores.astype(np.float64), after))
    duration, every_case = expected_ms[None, order], np.ones((1, len(order)), bool)
    unlimited = np.isinf(budget_ms)
    fits = (
        every_case
        if unlimited
        else ran_within(np.arange(len(order))[None], duration, np.array([budget_ms]), every_case)
    )
    return CycleOrder(order, scores[order], np.cumsum(duration[0]), int(fits.sum()))


def to_csv(project: Project, cycle: NextCycle, order: CycleOrder) -> str:
    """The ordered list as CSV (RFC 4180) with `COLUMNS`, one row per case; unknown numbers are empty."""
    file = io.StringIO(newline="")
    writer = csv.writer(file)
    writer.writerow(COLUMNS)
    for rank, index in enumerate(order.order.tolist()):
        case = project.cases[cycle.case[index]]
        runs, expected = int(cycle.runs[index]), cycle.expected_ms[index]
        writer.writerow(
            [
                rank + 1,
                case.id,
                spreadsheet_text(case.title),
                spreadsheet_text(" / ".join(suite_path(project, case))),
                f"{order.scores[rank]:.6g}",
                VERDICT_NAMES[int(cycle.last_verdict[index])],
                f"{cycle.failures[index] / runs:.4f}" if runs else "",
                "" if np.isnan(expected) else f"{expected:.0f}",
                "yes" if cycle.guessed[index] else "no",
                "" if np.isnan(expected) else f"{order.total_ms[rank]:.0f}",
                "yes" if rank < order.within else "no",
            ]
        )
    return file.getvalue()
