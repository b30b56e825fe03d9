"""Run one test cycle: cases in an order until the time budget is spent."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from rl_eval.domains.qase.live.runner import NOT_RUN, NOT_RUNNABLE, CaseResult, Runner
from rl_eval.domains.qase.model.execution_log import NO_VERDICT
from rl_eval.domains.qase.model.project import Case
from rl_eval.errors import InputError
from rl_eval.net import RequestError

MAX_UNREACHED = 3  # consecutive cases that get no connection


class ServiceControl(Protocol):
    """The interface of the embedded service that a cycle uses; `service.Service` implements it."""

    def switch(self, bugs: Iterable[str]) -> None:
        """Switch to these bugs and reset."""

    def reset(self) -> None:
        """Reset all data."""

    def alive(self) -> bool:
        """Whether its process runs."""


@dataclass(frozen=True)
class CycleResult:
    """Results of C cases; all arrays are aligned with the cases, not with the running order.

    Attributes:
        status: `[C]` int8: `runner.PASSED`, `FAILED`, `BLOCKED`, `NOT_RUNNABLE`, or `NOT_RUN` if the budget
            was spent before.
        verdict: `[C]` int8: 1 failed, 0 passed, -1 neither; also -1 for a muted case.
        duration_ms: `[C]` float64; 0 where `ran` is not set.
        bugs: `[C]` int64: seeded bugs found by each case; bit 0 is B01.
        ran: `[C]` bool: ran within the budget.
        reasons: `[C]`, one sentence each; empty for cases that passed or did not run.
        spent_ms: the sum of `duration_ms`.
        service_gone: whether the cycle ended because the service could not be reached any more. The last cases are
            blocked, those after them `NOT_RUN`.
    """

    status: np.ndarray = field(repr=False)
    verdict: np.ndarray = field(repr=False)
    duration_ms: np.ndarray = field(repr=False)
    bugs: np.ndarray = field(repr=False)
    ran: np.ndarray = field(repr=False)
    reasons: tuple[str, ...] = field(repr=False)
    spent_ms: float
    service_gone: bool


def run_cycle(
    runner: Runner,
    service: ServiceControl | None,
    cases: Sequence[Case],
    order: Sequence[int] | np.ndarray,
    budget_ms: float | None = None,
    bugs: Iterable[str] | None = None,
) -> CycleResult:
    """Run cases in an order.

    The first case that would exceed the budget ends the cycle and counts as not run, so the cases that ran are a prefix
    of the order. Cases that are not runnable take no time.

    Args:
        service: the embedded service, which is reset before each case, so that results do not depend on the order.
            None: any other service.
        order: indices into `cases`, each at most once; other cases are not run.
        budget_ms: time budget; None: no limit.
        bugs: bugs of the build under test; None: leave the service as it is.

    Raises:
        InputError: an order with duplicate or invalid indices, or bugs without the embedded service.
    """
    indices = np.asarray(order, np.int64)
    if (
        indices.ndim != 1
        or (len(indices) and (indices.min() < 0 or indices.max() >= len(cases)))
        or len(np.unique(indices)) != len(indices)
    ):
        raise InputError(f"an order lists each of the {len(cases)} cases at most once, by its index")
    if bugs is not None and service is None:
        raise InputError("only the embedded service has seeded bugs: leave out `bugs` for another base URL")
    count = len(cases)
    status = np.full(count, NOT_RUN, np.int8)
    verdict = np.full(count, NO_VERDICT, np.int8)
    duration_ms, bugs_found = np.zeros(count), np.zeros(count, np.int64)
    ran, reasons = np.zeros(count, bool), [""] * count
    reset: Callable[[], None] | None = None
    spent_ms, unreached, service_gone = 0.0, 0, False
    if service is not None:
        reset = service.reset
        if bugs is not None:
            try:
                service.switch(bugs)
            except RequestError:
                service_gone = True
    for i in () if service_gone else indices.tolist():
        result: CaseResult = runner.run(cases[i], reset)
        if result.status == NOT_RUNNABLE:
            status[i], reasons[i] = result.status, result.reason
            continue
        if budget_ms is not None and spent_ms + result.duration_ms > budget_ms:
            break
        spent_ms += result.duration_ms
        status[i], reasons[i], ran[i] = result.status, result.reason, True
        verdict[i] = NO_VERDICT if cases[i].is_muted else result.verdict
        duration_ms[i], bugs_found[i] = result.duration_ms, result.bugs
        unreached = unreached + 1 if result.unreachable else 0
        if unreached >= MAX_UNREACHED or (result.unreachable and service is not None and not service.alive()):
            service_gone = True
            break
    return CycleResult(status, verdict, duration_ms, bugs_found, ran, tuple(reasons), spent_ms, service_gone)
