"""A tracker in a thread of its own, so that nothing it does can stop or slow training."""

from __future__ import annotations

import contextlib
import queue
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from rl_eval.tracking._plots import Plot

# Rows that may wait for a slow tracker; a run logs far fewer, so a full queue means that it hangs.
MAX_WAITING = 10_000


class Tracker(Protocol):
    """Takes a run's numbers."""

    def log(self, row: Mapping[str, float], env_steps: int) -> None:
        """One row of `metrics.csv`, as it is."""

    def summary(self, values: Mapping[str, Any]) -> None:
        """What the run amounts to: final results, the verdict. Nested names are joined with `/`."""

    def draw(self, plots: Sequence[Plot]) -> None:
        """Plots of what the run amounts to."""

    def keep(self, kind: str, files: Mapping[str, Path]) -> None:
        """Files of the run, by the names they are kept under; `kind` is what they are together, such as `policy`."""

    def close(self, status: str) -> None:
        """The run has ended as `run.json` says: `finished`, `failed` or `interrupted`."""


def say(tracker: str, sentence: str) -> None:
    """One line on stderr; a closed stderr is no reason to stop training."""
    with contextlib.suppress(OSError, ValueError):
        print(f"{tracker}: {sentence}", file=sys.stderr, flush=True)


class InBackground:
    """Passes calls on to a tracker that is started, used and closed in a daemon thread.

    The first exception, a queue that is full, and an end that takes too long are each told once on
    stderr; after that the tracker is left alone and training goes on.

    Args:
        name: what the messages call the tracker.
        start: makes the tracker; called in the thread.
        patience: seconds that `close` waits at most.
    """

    def __init__(self, name: str, start: Callable[[], Tracker], *, patience: float, max_waiting: int = MAX_WAITING):
        self._name, self._start, self._patience = name, start, patience
        self._calls: queue.Queue[tuple[str, tuple[Any, ...]]] = queue.Queue(max_waiting)
        self._quiet = threading.Event()
        self._closed = False
        self._thread = threading.Thread(target=self._work, name=f"tracker-{name}", daemon=True)
        self._thread.start()

    def log(self, row: Mapping[str, float], env_steps: int) -> None:
        """Queue a row; it is copied, so the caller may reuse it."""
        self._queue("log", {k: float(v) for k, v in row.items() if v is not None and k != "env_steps"}, int(env_steps))

    def summary(self, values: Mapping[str, Any]) -> None:
        """Queue summary values; it is copied."""
        self._queue("summary", dict(values))

    def draw(self, plots: Sequence[Plot]) -> None:
        """Queue plots."""
        self._queue("draw", tuple(plots))

    def keep(self, kind: str, files: Mapping[str, Path]) -> None:
        """Queue files, which must stay as they are until `close`."""
        self._queue("keep", kind, dict(files))

    def close(self, status: str) -> None:
        """Wait until everything queued is delivered, for `patience` seconds at most."""
        if self._closed:
            return
        self._closed = True
        try:
            self._calls.put_nowait(("close", (status,)))
        except queue.Full:
            self._give_up("it takes nothing any more")
            return
        self._thread.join(self._patience)
        if self._thread.is_alive():
            self._give_up(f"it did not finish within {self._patience:g} s")

    def _queue(self, method: str, *args: Any) -> None:
        if self._closed or self._quiet.is_set():
            return
        try:
            self._calls.put_nowait((method, args))
        except queue.Full:
            self._give_up("it takes nothing any more")

    def _give_up(self, reason: str) -> None:
        if not self._quiet.is_set():
            self._quiet.set()
            say(self._name, f"{reason}, so later numbers are in the run directory only (training is not affected)")

    def _work(self) -> None:
        try:
            tracker = self._start()
        except BaseException as error:  # a tracker may even ask the interpreter to exit, which ends a thread in silence
            self._give_up(f"could not start ({_brief(error)})")
            return
        method = ""
        while method != "close":
            method, args = self._calls.get()
            # After a failure only `close` is passed on: what was taken before it should still arrive.
            if method != "close" and self._quiet.is_set():
                continue
            try:
                getattr(tracker, method)(*args)
            except BaseException as error:
                self._give_up(f"{method} failed ({_brief(error)})")


def _brief(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
