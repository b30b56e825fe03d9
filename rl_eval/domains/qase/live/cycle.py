"""One test cycle: cases run in an order until the time is spent."""

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

MAX_UNREACHED = 3  # cases in a row that reach nobody


class ServiceControl(Protocol):
    """What a cycle needs of the embedded service; `service.Service` is one."""

    def switch(self, bugs: Iterable[str]) -> None:
        """Have these bugs from now on, and start afresh."""

    def reset(self) -> None:
        """Start afresh."""

    def alive(self) -> bool:
        """Whether its process runs."""


@dataclass(frozen=True)
class CycleResult:
    """How C cases fared; every array is aligned with the cases, not with the order.

    Attributes:
        status: `[C]` int8: `runner.PASSED`, `FAILED`, `BLOCKED`, `NOT_RUNNABLE`, or `NOT_RUN` for what the time did
            not reach.
        verdict: `[C]` int8: 1 failed, 0 passed, -1 neither; -1 too for a muted case, as `log.verdicts` has it.
        duration_ms: `[C]` float64; 0 where `ran` is not set.
        bugs: `[C]` int64: the seeded bugs that each case found; bit 0 is B01.
        ran: `[C]` bool: run within the time.
        reasons: `[C]`, one sentence each; empty for cases that passed or were not reached.
        spent_ms: the sum of `duration_ms`.
        service_gone: whether the service could not be reached any more, so that the cycle ended there. The cases that
            showed it are blocked, those after them `NOT_RUN`.
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

    The first case that would end past the budget ends the cycle and counts as not run, so what ran is a prefix of the
    order. Cases that are not runnable take no time.

    Args:
        service: the embedded one: it starts afresh before each case, so that how a case ends does not depend on what
            ran before. None: any other service.
        order: indices into `cases`, each at most once; cases that it leaves out are not run.
        budget_ms: None: no limit.
        bugs: what the build under test has; None: as the service is.

    Raises:
        InputError: an order that names a case twice or one that is not there, or bugs without the embedded service.
    """
    at = np.asarray(order, np.int64)
    if at.ndim != 1 or (len(at) and (at.min() < 0 or at.max() >= len(cases))) or len(np.unique(at)) != len(at):
        raise InputError(f"an order names each of the {len(cases)} cases at most once, by its index: sort them again")
    if bugs is not None and service is None:
        raise InputError("only the embedded service has seeded bugs: leave them out for another base URL")
    count = len(cases)
    status = np.full(count, NOT_RUN, np.int8)
    verdict = np.full(count, NO_VERDICT, np.int8)
    duration_ms, found = np.zeros(count), np.zeros(count, np.int64)
    ran, reasons = np.zeros(count, bool), [""] * count
    before: Callable[[], None] | None = None
    spent_ms, unreached, gone = 0.0, 0, False
    if service is not None:
        before = service.reset
        if bugs is not None:
            try:
                service.switch(bugs)
            except RequestError:
                gone = True
    for i in () if gone else at.tolist():
        outcome: CaseResult = runner.run(cases[i], before)
        if outcome.status == NOT_RUNNABLE:
            status[i], reasons[i] = outcome.status, outcome.reason
            continue
        if budget_ms is not None and spent_ms + outcome.duration_ms > budget_ms:
            break
        spent_ms += outcome.duration_ms
        status[i], reasons[i], ran[i] = outcome.status, outcome.reason, True
        verdict[i] = NO_VERDICT if cases[i].is_muted else outcome.verdict
        duration_ms[i], found[i] = outcome.duration_ms, outcome.bugs
        unreached = unreached + 1 if outcome.gone else 0
        if unreached >= MAX_UNREACHED or (outcome.gone and service is not None and not service.alive()):
            gone = True
            break
    return CycleResult(status, verdict, duration_ms, found, ran, tuple(reasons), spent_ms, gone)
