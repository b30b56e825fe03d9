"""The test cycle to come: what is known of its cases before any of them runs, their order, and what fits in a budget.

Pure functions: who gives the scores, and where the list goes, is decided elsewhere.
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

VERDICT_NAMES = {0: "passed", 1: "failed", NO_VERDICT: ""}
COLUMNS = (
    "rank", "case_id", "title", "suite", "score", "last_verdict", "failure_rate", "expected_ms", "guessed", "total_ms",
    "within_budget",
)  # fmt: skip
_LONGEST_MS = 1e11  # as the features have it
_FORMULA_STARTS = tuple("=+-@\t\r\n")


@dataclass(frozen=True)
class NextCycle:
    """The K cases of a cycle to come, as the project lists them.

    Attributes:
        case: `[K]` int32, index into the project's cases.
        left_out: why -> how many cases are no part of the cycle.
        features: `[K, 64]` float32, of earlier cycles alone.
        runs: `[K]` how many verdicts each case has.
        failures: `[K]` how many of them are failures.
        last_verdict: `[K]` int8, the newest verdict, -1 where there is none.
        expected_ms: `[K]` float64, how long each is expected to take; NaN where no duration of any case is known.
        guessed: `[K]` bool, the case has no duration of its own, and the median of all stands for it.
    """

    case: np.ndarray = field(repr=False)
    left_out: dict[str, int]
    features: np.ndarray = field(repr=False)
    runs: np.ndarray = field(repr=False)
    failures: np.ndarray = field(repr=False)
    last_verdict: np.ndarray = field(repr=False)
    expected_ms: np.ndarray = field(repr=False)
    guessed: np.ndarray = field(repr=False)


@dataclass(frozen=True)
class CycleOrder:
    """An order of the K cases of a cycle to come.

    Attributes:
        order: `[K]` index into the cases of the cycle, the first to run first.
        scores: `[K]` in that order.
        total_ms: `[K]` float64 in that order, when each case is expected to have ended.
        within: how many of them end before the budget is spent: the first so many.
    """

    order: np.ndarray = field(repr=False)
    scores: np.ndarray = field(repr=False)
    total_ms: np.ndarray = field(repr=False)
    within: int


def next_cycle(project: Project, log: ExecutionLog) -> NextCycle:
    """The next cycle of a project: every case that is neither deprecated nor muted."""
    cases, left_out = _active_cases(project)
    longer = log_with_next_cycle(log, cases)
    seen = verdict_sequence(longer, longer.case)
    start, stop = seen.start[len(log) :], seen.stop[len(log) :]
    failures = np.concatenate([[0], np.cumsum(seen.verdict, dtype=np.int64)])
    last = np.full(len(cases), NO_VERDICT, np.int8)
    last[stop > start] = seen.verdict[stop[stop > start] - 1]
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
    )


def _active_cases(project: Project) -> tuple[np.ndarray, dict[str, int]]:
    """The cases that are to be ordered, `[K]`, and how many are left out: nobody heeds what those show."""
    deprecated = np.array([case.status == "deprecated" for case in project.cases], bool)
    muted = np.array([case.is_muted for case in project.cases], bool) & ~deprecated
    left_out = {"deprecated": int(deprecated.sum()), "muted": int(muted.sum())}
    return np.flatnonzero(~(deprecated | muted)).astype(np.int32), left_out


def log_with_next_cycle(log: ExecutionLog, cases: np.ndarray) -> ExecutionLog:
    """The log with one more cycle, in which nothing has happened yet.

    Args:
        cases: `[K]` the cases of that cycle, index into the project's.
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
    """The log of a project of which no result is known."""
    integers, numbers = np.zeros(0, np.int32), np.zeros(0)
    return ExecutionLog(len(project.cases), (), integers, integers, np.zeros(0, np.int8), numbers, numbers)


def next_cycle_features(project: Project, log: ExecutionLog, cases: np.ndarray) -> np.ndarray:
    """The 64 features of cases in the cycle after the last of a log: float32 `[K, 64]`."""
    history = history_features(project, log_with_next_cycle(log, cases))[len(log) :]
    return np.concatenate([case_features(project)[cases], history], axis=1)


def expected_durations(log: ExecutionLog, cases: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How long cases are expected to take (ms), float64 `[K]`, and which of that is a guess, bool `[K]`.

    The mean over the case's executions that came to a verdict, since one that was skipped or blocked ends early;
    for a case without any, the median over those of all cases; NaN where there are none.
    """
    known = ~np.isnan(log.duration_ms) & (log.verdict != NO_VERDICT)
    durations = np.minimum(log.duration_ms[known], _LONGEST_MS)
    count = np.bincount(log.case[known], minlength=log.n_cases)[cases]
    total = np.bincount(log.case[known], weights=durations, minlength=log.n_cases)[cases]
    typical = float(np.median(durations)) if len(durations) else np.nan
    return np.where(count > 0, total / np.maximum(count, 1), typical), count == 0


def order_cases(expected_ms: np.ndarray, scores: np.ndarray, budget_ms: float) -> CycleOrder:
    """The highest score first, equal ones as listed; what fits is what runs before the first case that does not.

    Args:
        expected_ms: `[K]` how long each case is expected to take.
        scores: `[K]` how early each is to run.
        budget_ms: infinite where there is none.
    """
    order = np.argsort(-scores.astype(np.float64), kind="stable")
    duration, real = expected_ms[None, order], np.ones((1, len(order)), bool)
    unlimited = np.isinf(budget_ms)
    fits = real if unlimited else ran_within(np.arange(len(order))[None], duration, np.array([budget_ms]), real)
    return CycleOrder(order, scores[order], np.cumsum(duration[0]), int(fits.sum()))


def to_csv(project: Project, coming: NextCycle, ordered: CycleOrder) -> str:
    """The list as CSV (RFC 4180), a row a case in running order, in `COLUMNS`; unknown numbers are empty."""
    file = io.StringIO(newline="")
    writer = csv.writer(file)
    writer.writerow(COLUMNS)
    for rank, at in enumerate(ordered.order.tolist()):
        case = project.cases[coming.case[at]]
        runs, expected = int(coming.runs[at]), coming.expected_ms[at]
        writer.writerow(
            [
                rank + 1,
                case.id,
                spreadsheet_text(case.title),
                spreadsheet_text(" / ".join(suite_path(project, case))),
                f"{ordered.scores[rank]:.6g}",
                VERDICT_NAMES[int(coming.last_verdict[at])],
                f"{coming.failures[at] / runs:.4f}" if runs else "",
                "" if np.isnan(expected) else f"{expected:.0f}",
                "yes" if coming.guessed[at] else "no",
                "" if np.isnan(expected) else f"{ordered.total_ms[rank]:.0f}",
                "yes" if rank < ordered.within else "no",
            ]
        )
    return file.getvalue()


def spreadsheet_text(text: str) -> str:
    """Text that no spreadsheet takes for a formula: where it begins as one does, an apostrophe stands before it.

    OWASP, *CSV Injection*.
    """
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text
