"""`erase`: everything of one person leaves the store and the queue; `erase_old`: everything that is too old."""

from __future__ import annotations

import contextlib
import time
from typing import NamedTuple

from rl_eval.production.clock_check import check_clock, note_time
from rl_eval.production.collector import Collector
from rl_eval.production.config import ProductionConfig
from rl_eval.production.privacy import pseudonym, read_key
from rl_eval.production.queues import Queue, QueueError, open_queue
from rl_eval.production.store import Store

WAIT_S = 60.0  # for what another collector has taken; of one that was killed, it comes again after half of this


class Erased(NamedTuple):
    """How many decisions were in the store, and how many records were left out of what waited in the queue."""

    decisions: int
    waiting: int


def erase(config: ProductionConfig, unit: str) -> Erased:
    """Erase a unit, as requests name it.

    What still waits in the queue is collected meanwhile, so that the unit's records leave it, too.

    Raises:
        InputError: store, queue or key cannot be used, or the clock may be ahead.
        QueueError: another collector holds what was put in before; the store is erased, and what it stores later is
            refused.
    """
    with contextlib.ExitStack() as stack:
        store = Store(config.collect.store, config.path)
        stack.callback(store.close)
        queue = open_queue(config.collect, config.path)
        stack.callback(queue.close)
        return erase_pseudonym(config, pseudonym(unit, read_key(config.path)), store, queue)


def erase_old(config: ProductionConfig) -> int:
    """Remove what is older than the retention by this machine's clock, which is taken to be right.

    Returns:
        How many decisions were in the store.

    Raises:
        InputError: store or queue cannot be used.
    """
    with contextlib.ExitStack() as stack:
        store = Store(config.collect.store, config.path)
        stack.callback(store.close)
        queue = open_queue(config.collect, config.path)
        stack.callback(queue.close)
        now = time.time()
        count = store.remove_old(now, config.privacy.retention)
        queue.remove_old(now - config.privacy.retention)
        note_time(store, now)
        return count


def erase_pseudonym(config: ProductionConfig, name: str, store: Store, queue: Queue, wait_s: float = WAIT_S) -> Erased:
    """The same of a pseudonym.

    Args:
        wait_s: for what another collector has taken.
    """
    check_clock(store, time.time(), config.privacy.retention)
    decisions, erased_at = store.erase(name), time.time()
    collector, end = Collector(config, store, queue), time.monotonic() + wait_s
    while collector.step(0.2) or _waits_since_before(queue, erased_at):
        if time.monotonic() > end:
            raise QueueError(
                f"earlier messages have waited in {config.collect.queue} for over {wait_s:g} s, and other collectors "
                "have them: what they store of this unit is refused; see that they work, and erase again"
            )
    decisions += store.erase(name)
    queue.remove_old(erased_at - config.privacy.retention)
    return Erased(decisions, collector.counts["refused.erased"])


def _waits_since_before(queue: Queue, at: float) -> bool:
    """Whether a message that was put in before some time is not acknowledged, where the queue says so."""
    oldest = queue.waiting()[1]
    return oldest is not None and oldest <= at
