"""Run a tracker in a thread of its own, so that it cannot stop or slow training."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rl_eval.terminal import print_line
from rl_eval.tracking._plots import Plot
from rl_eval.tracking.plugin import Tracker

# Calls that may wait for a slow tracker. A run makes far fewer, so a full queue means that the tracker hangs.
MAX_QUEUED = 10_000


def warn(tracker: str, sentence: str) -> None:
    """Print one line to stderr. A closed stderr does not stop training."""
    with contextlib.suppress(OSError, ValueError):
        print_line(f"{tracker}: {sentence}", stderr=True)


class BackgroundTracker:
    """Passes calls on to a tracker that is started, used and closed in a daemon thread.

    The first failure is reported on stderr: an exception, a full queue, or a `close` that takes too long. After it the
    tracker receives only `close`, and training goes on.

    Args:
        name: the tracker's name in messages.
        start: opens the tracker; called in the thread.
        timeout: seconds that `close` waits at most.
        draws: whether the tracker shows plots.
    """

    def __init__(
        self,
        name: str,
        start: Callable[[], Tracker],
        *,
        timeout: float,
        draws: bool = False,
        max_queued: int = MAX_QUEUED,
    ):
        self.draws = draws
        self._name, self._start, self._timeout = name, start, timeout
        self._calls: queue.Queue[tuple[str, tuple[Any, ...]]] = queue.Queue(max_queued)
        self._failed = threading.Event()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name=f"tracker-{name}", daemon=True)
        self._thread.start()

    def log(self, row: Mapping[str, float], env_steps: int) -> None:
        """Queue a copy of a row."""
        self._queue("log", {k: float(v) for k, v in row.items() if v is not None and k != "env_steps"}, int(env_steps))

    def summary(self, values: Mapping[str, Any]) -> None:
        """Queue a copy of the summary values."""
        self._queue("summary", dict(values))

    def log_plots(self, plots: Sequence[Plot]) -> None:
        """Queue plots."""
        self._queue("log_plots", tuple(plots))

    def log_files(self, kind: str, files: Mapping[str, Path]) -> None:
        """Queue files, which must not change until `close`."""
        self._queue("log_files", kind, dict(files))

    def close(self, status: str) -> None:
        """Wait until every queued call is delivered, for `timeout` seconds at most."""
        if self._closed:
            return
        self._closed = True
        try:
            self._calls.put_nowait(("close", (status,)))
        except queue.Full:
            self._give_up("it does not respond")
            return
        self._thread.join(self._timeout)
        if self._thread.is_alive():
            self._give_up(f"it did not finish within {self._timeout:g} s")

    def _queue(self, method: str, *args: Any) -> None:
        if self._closed or self._failed.is_set():
            return
        try:
            self._calls.put_nowait((method, args))
        except queue.Full:
            self._give_up("it does not respond")

    def _give_up(self, reason: str) -> None:
        if not self._failed.is_set():
            self._failed.set()
            warn(self._name, f"{reason}, so later numbers are in the run directory only (training is not affected)")

    def _run(self) -> None:
        try:
            tracker = self._start()
        except BaseException as error:  # SystemExit too, which would end the thread silently
            self._give_up(f"could not start ({_brief(error)})")
            return
        method = ""
        while method != "close":
            method, args = self._calls.get()
            # After a failure only `close` is passed on, so that earlier calls still arrive.
            if method != "close" and self._failed.is_set():
                continue
            try:
                getattr(tracker, method)(*args)
            except BaseException as error:
                self._give_up(f"{method} failed ({_brief(error)})")


def _brief(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
