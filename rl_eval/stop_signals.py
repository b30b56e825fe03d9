"""Ctrl-C, SIGTERM and SIGHUP: honoured within a second at any time.

Where nothing else is asked for, a signal raises KeyboardInterrupt. Training asks to come to the end of its iteration
first; where that takes too long, the interrupt comes anyway. Both need Python to run. A thread therefore ends the
process where the main thread does not return from native code.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

GRACE_S = 0.25  # for the end of an iteration
STUCK_S = 0.5  # for the main thread to notice a signal at all
STATUS = 130
_SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


class _Stop:
    """The signals of this process so far.

    Attributes:
        finishing: how many callers want to finish an iteration first.
        requested: one of them was asked to.
        last_act: called before the process is ended from outside its main thread.
    """

    def __init__(self, last_act: Callable[[], None]) -> None:
        self.last_act = last_act
        self.finishing, self.requested, self._raised = 0, False, False
        self._noticed, self._honoured = threading.Event(), threading.Event()

    def receive(self, number: int, frame: Any) -> None:
        """The handler, in the main thread."""
        self._noticed.set()
        if self.finishing and not self.requested:
            self.requested = True
            return
        self._raised = True
        raise KeyboardInterrupt

    def poll(self) -> bool:
        """Whether a stop was requested; asked at the end of an iteration."""
        if self.requested:
            self._honoured.set()
        return self.requested

    def watch(self, pipe: int) -> None:
        """In a thread: see to it that every signal is honoured. `pipe` receives the number of each."""
        while numbers := _wait_and_read(pipe):
            stops = [number for number in numbers if number in _SIGNALS]
            if not stops:
                continue
            if not self._noticed.wait(STUCK_S):
                with contextlib.suppress(Exception):
                    self.last_act()
                os._exit(STATUS)
            _read(pipe)  # several signals at once reach the handler as one
            self._noticed.clear()
            if self.requested and not self._raised and not self._honoured.wait(GRACE_S) and not self._raised:
                os.kill(os.getpid(), stops[0])  # a real signal, since it also ends a system call
        os.close(pipe)


def _wait_and_read(pipe: int) -> bytes | None:
    """The next bytes; None or empty at the end."""
    select.select([pipe], [], [])
    return _read(pipe)


def _read(pipe: int) -> bytes | None:
    with contextlib.suppress(BlockingIOError):
        return os.read(pipe, 4096)
    return None


_stop: _Stop | None = None


@contextlib.contextmanager
def interruptible(last_act: Callable[[], None] | None = None) -> Iterator[None]:
    """Inside, a stop signal raises KeyboardInterrupt, or ends the process where no Python runs.

    A signal that the process was started to ignore, as `nohup` does, stays ignored.

    Args:
        last_act: called before the process is ended from outside its main thread; None: that of the caller, if any.
    """
    global _stop
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    if (stop := _stop) is not None:
        outer = stop.last_act
        stop.last_act = last_act or outer
        try:
            yield
        finally:
            stop.last_act = outer
        return
    _stop = stop = _Stop(last_act or (lambda: None))
    read, write = os.pipe()
    os.set_blocking(read, False)
    os.set_blocking(write, False)
    threading.Thread(target=stop.watch, args=(read,), daemon=True, name="stop signals").start()
    handled = [number for number in _SIGNALS if signal.getsignal(number) not in (signal.SIG_IGN, None)]
    wakeup = signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    before = {number: signal.signal(number, stop.receive) for number in handled}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(wakeup)
        os.close(write)  # ends the thread
        _stop = None


@contextlib.contextmanager
def stop_requests() -> Iterator[Callable[[], bool]]:
    """Inside, the first stop signal is remembered, so that an iteration is finished where that is quick.

    Yields:
        Whether a stop was requested. Where it is not asked for `GRACE_S`, or on a second signal, KeyboardInterrupt is
        raised.
    """
    with interruptible():
        if (stop := _stop) is None or threading.current_thread() is not threading.main_thread():
            yield lambda: False
            return
        stop.finishing += 1
        try:
            yield stop.poll
        finally:
            stop.finishing -= 1
