"""Processes of this machine: each makes one call after another, and one that is lost is replaced."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import queue
import signal
import threading
import time
from concurrent.futures import Future
from multiprocessing.connection import Connection
from typing import Any, Literal, Self

from pydantic import Field

from rl_eval.errors import InputError
from rl_eval.launchers.plugin import LauncherPlugin, LauncherSettings, Task, WorkerLostError
from rl_eval.stop_signals import interruptible

GRACE_S = 5.0  # for a call that is stopped to write down where it is


class ProcessesSettings(LauncherSettings):
    """`launcher.name=processes`."""

    name: Literal["processes"] = "processes"
    count: int | None = Field(None, ge=1, le=1024, description="null: one per core")

    def for_devices(self, devices: int) -> Self:
        """One process per device, where no number was given."""
        return self.model_copy(update={"count": devices}) if devices and self.count is None else self

    def jobs_at_once(self, jobs: int) -> int:
        """All processes are of this machine."""
        return min(jobs, self.count or _cores())


class Processes:
    """Processes that are started when they are first needed, with a thread each that waits for it."""

    def __init__(self, count: int | None = None) -> None:
        self.slots = count or _cores()
        self._waiting: queue.SimpleQueue[tuple[Task, Future[Any]] | None] = queue.SimpleQueue()
        self._closing = threading.Event()
        self._workers: dict[int, _Worker] = {}  # slot -> its process
        self._threads = [threading.Thread(target=self._serve, args=(slot,), daemon=True) for slot in range(self.slots)]
        for thread in self._threads:
            thread.start()

    def submit(self, task: Task) -> Future[Any]:
        """Ask for a call."""
        future: Future[Any] = Future()
        self._waiting.put((task, future))
        return future

    def _serve(self, slot: int) -> None:
        while (item := self._waiting.get()) is not None:
            task, future = item
            if self._closing.is_set():
                future.cancel()
            if not future.set_running_or_notify_cancel():
                continue
            try:
                worker = self._workers.get(slot)
                if worker is None or not worker.process.is_alive():
                    worker = self._workers[slot] = _Worker()
                if self._closing.is_set():
                    worker.stop()
                future.set_result(worker.call(task))
            except BaseException as error:  # of foreign code too; the waiting code gets it
                future.set_exception(error)

    def close(self) -> None:
        """Stop the calls that are being made, and end the processes."""
        self._closing.set()
        for _ in self._threads:
            self._waiting.put(None)
        workers = list(self._workers.values())
        for worker in workers:
            worker.stop()
        until = time.monotonic() + GRACE_S
        for worker in workers:
            worker.end(until - time.monotonic())


class _Worker:
    """One process, and this end of its pipe."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, other = context.Pipe()
        self.process = context.Process(target=_work, args=(other,), name="worker")
        self.process.start()
        other.close()  # so that the end of the process is the end of the pipe

    def call(self, task: Task) -> Any:
        """Make a call there.

        Raises:
            WorkerLostError: the process ended.
            Exception: what the call raised.
        """
        try:
            self._pipe.send(task)
            done, answer = self._pipe.recv()
        except (EOFError, OSError) as error:
            self.process.join(GRACE_S)
            code = self.process.exitcode
            how = f"was killed by signal {-code}" if code is not None and code < 0 else f"ended with status {code}"
            raise WorkerLostError(f"{task.name}: its process {how}") from error
        if not done:
            raise answer
        return answer

    def stop(self) -> None:
        """Interrupt the call that is being made; the process ends after it."""
        with contextlib.suppress(OSError, AttributeError):
            self.process.terminate()

    def end(self, timeout: float) -> None:
        """Wait for the process to end, and kill it where it does not."""
        self.process.join(max(timeout, 0))
        if self.process.is_alive():
            self.process.kill()
            self.process.join()


def _work(pipe: Connection) -> None:
    """In the worker: one call after another, until the other end closes or a stop signal comes."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with contextlib.suppress(KeyboardInterrupt, EOFError, OSError), interruptible():
        while True:
            task = pipe.recv()
            try:
                answer = task.answer()
            except KeyboardInterrupt:
                pipe.send((False, InputError(f"{task.name} was interrupted")))
                return
            pipe.send(answer)


def _end_with_parent() -> None:
    """A parent that was killed could not stop its workers."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(GRACE_S)
        os._exit(1)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


PLUGIN = LauncherPlugin(
    settings=ProcessesSettings,
    start=lambda settings: Processes(settings.count),
    shares_terminal=True,
    single_runs=False,
)
