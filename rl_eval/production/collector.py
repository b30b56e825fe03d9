"""`Collector`: takes messages from the queue, stores their records once, and acknowledges them.

A message is acknowledged after its records are stored, and storing them again changes nothing. So no matter where the
process ends, nothing that was acknowledged to a client is lost, and nothing counts twice.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from rl_eval.production.alive import beat
from rl_eval.production.clock import SteadyClock
from rl_eval.production.clock_check import ClockError, check_clock, note_time
from rl_eval.production.config import ProductionConfig
from rl_eval.production.heartbeats import Heartbeat
from rl_eval.production.keyed_store import open_store
from rl_eval.production.quality import QualityFilter, Shapes
from rl_eval.production.queues import Message, Queue, QueueError, open_queue
from rl_eval.production.records import MessageError, Record, decode
from rl_eval.production.store import Store, UnavailableError
from rl_eval.production.store.ingest import OUTSIDE_BOUNDS

log = logging.getLogger(__name__)
SHAPES, QUALITY = "shapes", "quality"  # documents of the store
AGAIN_S = 1.0  # after a failure
MESSAGES = 200  # that are taken at once
GATHER_S = 0.2  # in which messages gather, since one large transaction costs far less than many small ones
MAINTENANCE_S = 60.0
REMOVAL_S = 3600.0
ORPHAN_S = 3600.0  # how long a reward waits for its decision


class Collector:
    """The consumer; any number of them may share a store and a queue.

    Args:
        clock: of what is received.
    """

    def __init__(self, config: ProductionConfig, store: Store, queue: Queue, clock: SteadyClock | None = None):
        self._config, self._store, self._queue = config, store, queue
        self._clock = clock or SteadyClock()
        self._filter: QualityFilter | None = None
        self._number = 0  # of the filter's document
        self._unstored: list[Message] = []  # taken, and not stored yet
        self._looked = self._removed = float("-inf")
        self._orphans_until: float | None = None
        self.counts: Counter[str] = Counter()

    def run(self, stop: threading.Event, wait_s: float = 0.2) -> None:
        """Collect until `stop` is set; what is away is waited for, with one sentence in the log."""
        failing, heartbeat = "", Heartbeat(self._store, "collector")
        while not stop.is_set():
            beat()
            try:
                heartbeat.beat()
                self.maintain()
                done = self.step(wait_s)
                if failing:
                    log.warning("collecting again")
                failing = ""
                if 0 < done < MESSAGES:
                    stop.wait(GATHER_S)
            except (QueueError, UnavailableError, ClockError) as error:
                if (reason := str(error)[:60]) != failing:
                    log.warning("collecting waits: %s", error)
                failing = reason
                stop.wait(AGAIN_S)

    def step(self, wait_s: float = 0.0) -> int:
        """Store what waits, at most some hundred messages; returns how many messages were acknowledged.

        Raises:
            QueueError, UnavailableError: the queue or the store is away. Nothing is lost.
        """
        if self._filter is None and not self._read_filter():
            time.sleep(min(wait_s, 0.1))
            return 0
        if not self._unstored:
            self._unstored = self._queue.take(MESSAGES, wait_s)
        done = 0
        while self._unstored:
            messages, records = self._next()
            self._ingest(records)
            self._unstored = self._unstored[len(messages) :]
            self._queue.acknowledge(messages)
            done += len(messages)
        return done

    def _next(self) -> tuple[list[Message], list[Record]]:
        """The messages that are stored in one transaction, and their records."""
        messages: list[Message] = []
        records: list[Record] = []
        for message in self._unstored:
            if records and len(records) >= self._config.collect.batch:
                break
            messages.append(message)
            try:
                records += decode(message.body)
            except MessageError as error:
                self.counts["refused.message"] += 1
                log.warning("a message is left out: %s", error)
        return messages, records

    def _ingest(self, records: Sequence[Record]) -> None:
        assert self._filter is not None
        try:
            bounds = self._config.rollout.low, self._config.rollout.high
            counts = self._store.ingest(records, self._filter.judge, self._clock.now(), bounds)
        except UnavailableError:
            self._filter = None  # it has learned from what was not stored
            raise
        if counts[OUTSIDE_BOUNDS] and not self.counts[OUTSIDE_BOUNDS]:
            log.warning(
                "rewards come that are outside rollout.low and rollout.high, %g and %g: a step of a roll-out with one "
                "of them decides nothing, so give bounds of every reward",
                *bounds,
            )
        self.counts += counts

    def _read_filter(self) -> bool:
        """Whether it is known what is served, so that records can be judged."""
        shapes = self._store.document(SHAPES)
        if not shapes.number:
            return False
        state = self._store.document(QUALITY)
        self._filter = QualityFilter(self._config.quality, Shapes(**shapes.body), state.body)
        self._number = state.number
        return True

    def maintain(self) -> None:
        """Once a minute: keep the filter's state, refuse rewards of unknown decisions. Once an hour: remove the old.

        Raises:
            QueueError, UnavailableError: see `step`.
            ClockError: the clock may be ahead, and nothing was removed.
        """
        elapsed = time.monotonic()
        if elapsed - self._looked < MAINTENANCE_S:
            return
        now = self._clock.now()
        check_clock(self._store, now, self._config.privacy.retention)
        note_time(self._store, now)
        until = now - ORPHAN_S
        if self._filter is not None:
            state = self._filter.state
            if state != self._store.document(QUALITY).body:
                if self._store.swap_document(self._number, state, QUALITY):
                    self._number += 1
                else:  # another collector was first: go on from its reference
                    self._read_filter()
        since = self._orphans_until if self._orphans_until is not None else now - self._config.privacy.retention
        if orphans := self._store.remove_orphans(since, until):
            log.warning("%d rewards are of decisions that nobody made: they are left out", orphans)
        self._orphans_until = until
        if elapsed - self._removed >= REMOVAL_S:
            self._store.remove_old(now, self._config.privacy.retention)
            self._queue.remove_old(now - self._config.privacy.retention)
            self._removed = elapsed
        self._looked = elapsed


def collect(config: ProductionConfig, stop: threading.Event, show: Callable[[str], Any] = print) -> None:
    """Collect until `stop` is set.

    Raises:
        InputError: the store or the queue cannot be opened.
    """
    store = open_store(config)
    try:
        queue = open_queue(config.collect, config.path)
        try:
            show(f"collecting from {config.collect.queue} into {store.database.label}; Ctrl-C ends it")
            Collector(config, store, queue).run(stop)
        finally:
            queue.close()
    finally:
        store.close()
