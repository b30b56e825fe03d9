"""`Worker`: a process that steps copies for this one; started on demand and kept for the next environment."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from typing import Any

from rl_eval.envs import worker_process
from rl_eval.envs.worker_process import Channel, encode
from rl_eval.errors import InputError


class WorkerError(RuntimeError):
    """A worker process died, or an environment in it raised; the message holds its traceback."""


class Worker:
    """A process that steps groups of copies for this one; see `worker_process`."""

    def __init__(self) -> None:
        own_end, worker_end = socket.socketpair()
        with worker_end:
            # Neither fork (threads of torch hold locks) nor multiprocessing's spawn (it imports the main module
            # again, and daemonic processes may not use it). A group of its own: Ctrl-C is for this process.
            self.process = subprocess.Popen(
                [sys.executable, "-P", worker_process.__file__, str(worker_end.fileno()), str(os.getpid())],
                stdin=subprocess.DEVNULL,
                pass_fds=[worker_end.fileno()],
                process_group=0,
            )
        self._channel = Channel(own_end, self._check)
        self._lock = threading.RLock()  # two threads may step two environments
        self._owner = os.getpid()
        self._replies: dict[int, list[dict[str, Any]]] = {}  # of the groups that are open
        self.usable = True  # for another environment

    def open(self, group: int, message: dict[str, Any], memory: int) -> None:
        """Begin a group over shared memory, an open file; one reply will come."""
        self._replies[group] = []
        self.send(encode({"do": "open", "group": group, **message}), memory)

    def send(self, message: bytes, descriptor: int | None = None) -> None:
        """Send a request.

        Raises:
            WorkerError: the process is gone, or is another process's.
        """
        self._require_owner()
        try:
            with self._lock:
                self._channel.send(message, descriptor)
        except OSError:
            raise self._death() from None

    def receive(self, group: int) -> None:
        """Wait until the request is done.

        Raises:
            WorkerError: it raised, or the process is gone.
            InputError: it raised that.
        """
        self._require_owner()
        with self._lock:
            replies = self._replies[group]
            while not replies:
                try:
                    reply = self._channel.receive()
                except (EOFError, OSError):
                    raise self._death() from None
                if reply["group"] in self._replies:
                    self._replies[reply["group"]].append(reply)
            reply = replies.pop(0)
        if "input_error" in reply:
            raise InputError(reply["input_error"])
        if "error" in reply:
            raise WorkerError(f"an environment failed in a worker process:\n\n{reply['error']}")

    def close(self, group: int) -> None:
        """End a group; there is no reply."""
        if self._replies.pop(group, None) is None or os.getpid() != self._owner:
            return
        with contextlib.suppress(WorkerError):
            self.send(encode({"do": "close", "group": group}))

    def end(self, wait_s: float = 0.0) -> None:
        """End the process; it has `wait_s` to close its environments."""
        self.usable = False
        if os.getpid() != self._owner:
            return
        self._channel.close()
        try:
            self.process.wait(wait_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def _require_owner(self) -> None:
        if os.getpid() != self._owner:
            raise WorkerError("made before this process was forked: make the environment after the fork")

    def _check(self) -> None:
        """Raise where the process is dead, though its children may hold its end of the channel open."""
        if self.process.poll() is not None:
            raise EOFError

    def _death(self) -> WorkerError:
        self.usable = False
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(0.5)
        status = self.process.returncode
        if status is None:
            how = "closed its end"
        else:
            how = f"ended with status {status}" if status >= 0 else f"was killed by {signal.Signals(-status).name}"
        return WorkerError(
            f"a worker process that steps environments {how}: what it printed on stderr may say why; "
            "env.workers=1 steps every copy in this process"
        )


_workers: list[Worker] = []


def usable_workers() -> list[Worker]:
    """Workers of this process that run and can take another environment."""
    return [w for w in _workers if w.usable and w._owner == os.getpid() and w.process.poll() is None]


def running_workers(count: int) -> list[Worker]:
    """`count` usable workers, started where there are too few."""
    _workers[:] = usable_workers()
    if not _workers:
        import atexit

        atexit.unregister(_end_workers)
        atexit.register(_end_workers)
    while len(_workers) < count:
        _workers.append(Worker())
    return _workers[:count]


def _end_workers() -> None:
    for worker in _workers:
        worker.end(wait_s=1.0)
