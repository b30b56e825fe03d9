"""`LaterQueue`: a queue that was away when it was opened, and is opened once it is there.

So a process that starts while the queue is away behaves as if it went away later.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from rl_eval.errors import InputError
from rl_eval.production.queues.protocol import Message, Queue, QueueError

AGAIN_S = 1.0  # between attempts


class LaterQueue:
    """See `Queue`; it raises `QueueError` until the queue is there and can be used.

    Args:
        open_now: opens the queue.
        error: why it could not be opened.
        clock: seconds, of a clock that never jumps.
    """

    is_quick = False

    def __init__(self, open_now: Callable[[], Queue], error: QueueError, clock: Callable[[], float] = time.monotonic):
        self._open, self._error, self._clock = open_now, error, clock
        self._tried = clock()
        self._queue: Queue | None = None

    def _opened(self) -> Queue:
        if self._queue is None:
            if self._clock() - self._tried < AGAIN_S:
                raise QueueError(str(self._error))
            self._tried = self._clock()
            try:
                self._queue = self._open()
            except InputError as error:  # also one that is there and cannot be used as it is
                self._error = QueueError(str(error))
                raise self._error from error
        return self._queue

    def put(self, messages: Sequence[bytes]) -> None:
        """Add messages."""
        self._opened().put(messages)

    def take(self, limit: int, wait_s: float) -> list[Message]:
        """The oldest messages."""
        return self._opened().take(limit, wait_s)

    def acknowledge(self, messages: Sequence[Message]) -> None:
        """Remove messages."""
        self._opened().acknowledge(messages)

    def waiting(self) -> tuple[int, float | None]:
        """Count and time of the oldest."""
        return self._opened().waiting()

    def sync(self) -> None:
        """See `Queue`."""
        if self._queue is not None:
            self._queue.sync()

    def remove_old(self, before: float) -> int:
        """Remove old messages."""
        return self._opened().remove_old(before)

    def close(self) -> None:
        """Close it where it was opened."""
        if self._queue is not None:
            self._queue.close()
