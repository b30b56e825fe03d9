"""`Recorder`: records into the queue, many in one transaction; what it has answered for outlives the process."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Iterator, Sequence

from rl_eval.production.queues import Queue, QueueError
from rl_eval.production.records import MessageError, Record, encode

log = logging.getLogger(__name__)
RECORDS = 200  # of a message
MESSAGE_BYTES = 256 << 10  # of a message, about: brokers take 1 MB
MOST_WAITING = 20_000  # records
AWAY_S = 1.0  # after a failure, until it is tried again
IDLE_S = 5.0  # without a record that was kept, after which it is asked whether the queue is away
ANSWER_S = 2.0  # that a decision waits for its record


class Recorder:
    """Puts records in; a thread of its own where the queue is not quick.

    Attributes:
        failures: records that were not kept.
        failing: why the latest records were not kept, or the next would not be; empty otherwise.
        since: seconds since 1970, when it began to fail.
    """

    def __init__(self, queue: Queue):
        self._queue = queue
        self.is_quick = queue.is_quick
        self._waiting: list[tuple[Sequence[Record], asyncio.Future[None]]] = []
        self._count = 0
        self._failed_at = self._put_at = float("-inf")
        self.failing, self.since = "", 0.0
        self._away = False  # whether the queue itself was
        self._wake = threading.Condition()
        self._closing = False
        self.failures = 0
        self._thread: threading.Thread | None = None
        if not self.is_quick:
            self._thread = threading.Thread(target=self._run, daemon=True, name="recorder")
            self._thread.start()

    def put(self, records: Sequence[Record]) -> None:
        """Keep records before it returns.

        Raises:
            QueueError: they were not kept.
        """
        try:
            if time.monotonic() - self._failed_at < AWAY_S:
                raise QueueError(self.failing)
            try:
                self._queue.put(list(messages_of(records)))
            except QueueError as error:
                self._failed_at = time.monotonic()
                self._fail(error)
                raise
            self._put_at = time.monotonic()
            self._recover()
        except (QueueError, MessageError):
            self.failures += len(records)
            raise

    def waiting(self) -> tuple[int, float | None] | None:
        """What waits in the queue, see `Queue`; None: the queue is away, so that nothing can be recorded.

        It is asked every few seconds, and so finds that out where no decision does. A queue that answers may still be
        full, so an answer is not enough to end a failure of `put`.

        Raises:
            QueueError: it cannot be counted, and has just taken records nevertheless.
        """
        try:
            found = self._queue.waiting()
        except QueueError as error:
            if time.monotonic() - self._put_at < IDLE_S:
                raise
            self._away = True
            self._fail(error)
            return None
        if self._away:
            self._recover()
        return found

    def _fail(self, error: QueueError) -> None:
        if not self.failing:
            log.warning("decisions are served and not recorded: %s", error)
            self.since = time.time()
        self.failing = str(error)

    def _recover(self) -> None:
        if self.failing:
            log.warning("decisions are recorded again")
        self.failing, self._away = "", False

    async def put_soon(self, records: Sequence[Record]) -> None:
        """The same without holding up the event loop.

        Raises:
            QueueError: they were not kept in time, as far as is known.
        """
        if self.is_quick:
            self.put(records)
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        with self._wake:
            if self._count + len(records) > MOST_WAITING:
                self.failures += len(records)
                raise QueueError(f"{self._count:,} records wait for the queue: ask again later")
            self._count += len(records)
            self._waiting.append((records, future))
            self._wake.notify()
        try:
            async with asyncio.timeout(ANSWER_S):
                await future
        except TimeoutError as error:
            raise QueueError(f"the queue did not answer within {ANSWER_S:g} s: ask again later") from error

    def _run(self) -> None:
        while True:
            with self._wake:
                while not self._waiting and not self._closing:
                    self._wake.wait()
                if self._closing and not self._waiting:
                    return
                waiting, self._waiting, self._count = self._waiting, [], 0
            error: QueueError | None = None
            try:
                self.put([record for records, _ in waiting for record in records])
            except QueueError as refused:
                error = refused
            except Exception as unexpected:  # nobody may wait for ever
                error = QueueError(f"recording failed ({type(unexpected).__name__})")
                log.exception("recording failed")
            self._settle([future for _, future in waiting], error)

    def _settle(self, futures: Sequence[asyncio.Future[None]], error: QueueError | None) -> None:
        loop = futures[0].get_loop()

        def settle() -> None:
            for future in futures:
                if future.done():
                    continue
                if error is None:
                    future.set_result(None)
                else:
                    future.set_exception(error)

        if not loop.is_closed():
            loop.call_soon_threadsafe(settle)

    def close(self) -> None:
        """Wait for what is being put in."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        if self._thread is not None:
            self._thread.join(5.0)


def messages_of(records: Sequence[Record]) -> Iterator[bytes]:
    """Messages that brokers take, none of a great many records."""
    part: list[Record] = []
    size = 0
    for record in records:
        part.append(record)
        size += len(getattr(record, "observation", b"") or getattr(record, "next_observation", b"") or b"") * 4 // 3
        if len(part) >= RECORDS or size >= MESSAGE_BYTES:
            yield encode(part)
            part, size = [], 0
    if part:
        yield encode(part)
