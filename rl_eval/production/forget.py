"""`erase`: everything of one person leaves the store and the queue; `erase_old`: everything that is too old."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from rl_eval.errors import InputError
from rl_eval.production.audit import AuditError, AuditLog
from rl_eval.production.canary.opening import audit_of
from rl_eval.production.clock_check import check_clock, note_time
from rl_eval.production.collector import Collector
from rl_eval.production.config import ProductionConfig
from rl_eval.production.keyed_store import open_for_erasing, open_store
from rl_eval.production.privacy import pseudonym
from rl_eval.production.queues import Queue, QueueError, open_queue
from rl_eval.production.store import Store, UnavailableError
from rl_eval.production.store.erasure import mark

WAIT_S = 60.0  # for what another collector has taken; of one that was killed, it comes again after half of this


class UnfinishedError(InputError):
    """Some was erased, and some may be left."""


class Erased(NamedTuple):
    """How many decisions were in the store, and how many records were left out of what waited in the queue.

    Attributes:
        before: when the unit was erased before, in seconds since 1970; None: never.
    """

    decisions: int
    waiting: int
    before: float | None = None


def erase(config: ProductionConfig, unit: str, actor: str) -> Erased:
    """Erase a unit, as requests name it. The audit log has two lines of it, with a hash of its pseudonym.

    Messages that still wait in the queue are collected meanwhile, so that the unit's records leave it, too.

    Args:
        actor: who asks for it.

    Raises:
        InputError: store, queue, key or audit log cannot be used, or the clock may be ahead; nothing was erased.
        UnfinishedError: a part went away meanwhile.
    """
    with contextlib.ExitStack() as stack:
        store, key = open_for_erasing(config)
        stack.callback(store.close)
        queue = open_queue(config.collect, config.path, create=False)
        stack.callback(queue.close)
        name = pseudonym(unit, key)
        _check(config, store, queue)
        log, facts = audit_of(config), {"unit": mark(name)}
        log.append("erase", actor, {**facts, "state": "started"})
        erased = erase_pseudonym(config, name, store, queue)
        _log_end(log, actor, {**facts, "decisions": erased.decisions, "waiting": erased.waiting})
        return erased


def erase_old(config: ProductionConfig, actor: str) -> int:
    """Remove what is older than the retention by this machine's clock, which is taken to be right.

    Args:
        actor: who asks for it, for the audit log.

    Returns:
        How many decisions were in the store.

    Raises:
        InputError: store, queue or audit log cannot be used; nothing was erased.
        UnfinishedError: a part went away meanwhile.
    """
    with contextlib.ExitStack() as stack:
        store = open_store(config, create=False)
        stack.callback(store.close)
        queue = open_queue(config.collect, config.path, create=False)
        stack.callback(queue.close)
        store.counts()  # where it is away, nothing is logged
        _check_queue(queue)
        log, now = audit_of(config), time.time()
        log.append("erase", actor, {"old": True, "state": "started"})
        count = store.remove_old(now, config.privacy.retention)
        with _unfinished(count):
            queue.remove_old(now - config.privacy.retention)
            note_time(store, now)
        _log_end(log, actor, {"old": True, "decisions": count})
        return count


def _check(config: ProductionConfig, store: Store, queue: Queue) -> None:
    """Parts that can be away are looked at first, so that a refusal has erased nothing."""
    check_clock(store, time.time(), config.privacy.retention)
    _check_queue(queue)


def _check_queue(queue: Queue) -> None:
    try:
        queue.waiting()
    except QueueError as error:
        raise QueueError(f"nothing was erased: {error}") from error


def _log_end(log: AuditLog, actor: str, facts: Mapping[str, Any]) -> None:
    try:
        log.append("erase", actor, {**facts, "state": "done"})
    except AuditError as error:
        raise UnfinishedError(f"{facts['decisions']:,} decisions were erased, but not logged: {error}") from error


@contextlib.contextmanager
def _unfinished(decisions: int) -> Iterator[None]:
    try:
        yield
    except (QueueError, UnavailableError) as error:
        raise UnfinishedError(
            f"{decisions:,} decisions were erased from the store, and what waits in the queue may be left ({error}): "
            "the same command finishes it"
        ) from error


def erase_pseudonym(config: ProductionConfig, name: str, store: Store, queue: Queue, wait_s: float = WAIT_S) -> Erased:
    """The same of a pseudonym, without the audit log.

    Args:
        wait_s: for what another collector has taken.
    """
    _check(config, store, queue)
    before = store.erased_at(name)
    decisions, erased_at = store.erase(name), time.time()
    collector, end = Collector(config, store, queue), time.monotonic() + wait_s
    with _unfinished(decisions):
        while collector.step(0.2) or _waits_since_before(queue, erased_at):
            if time.monotonic() > end:
                raise QueueError(
                    f"earlier messages have waited in {config.collect.queue} for over {wait_s:g} s, and other "
                    "collectors have them, whose records of this unit are refused: see that they work"
                )
        decisions += store.erase(name)
        queue.remove_old(erased_at - config.privacy.retention)
    return Erased(decisions, collector.counts["refused.erased"], before)


def _waits_since_before(queue: Queue, at: float) -> bool:
    """Whether a message that was put in before some time is not acknowledged, where the queue says so."""
    oldest = queue.waiting()[1]
    return oldest is not None and oldest <= at
