"""Ctrl-C and SIGTERM, and a disk that takes nothing more."""

from __future__ import annotations

import contextlib
import errno
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

# What a disk says that is full, over quota, read-only or broken. Any other OSError is an environment's own.
_STORAGE = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG, errno.EIO}


@contextlib.contextmanager
def stop_requested() -> Iterator[Callable[[], bool]]:
    """Within: Ctrl-C or SIGTERM is remembered, so that an iteration is never left half done."""
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    asked: list[int] = []

    def remember(number: int, frame: Any) -> None:
        asked.append(number)
        if len(asked) > 1:
            raise KeyboardInterrupt  # the person means it

    before = {number: signal.signal(number, remember) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def not_written(error: BaseException) -> str | None:
    """What to record where a file could not be written; None for any other error."""
    if not isinstance(error, OSError) or error.errno not in _STORAGE:
        return None
    return f"{error.filename or 'a file'} could not be written ({error.strerror})"
