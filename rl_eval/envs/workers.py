"""Copies of a Gymnasium environment, stepped by this process and others at once over shared memory.

Each process steps its share of the copies straight into shared arrays; what travels between them is one short
message a step. The processes stay for the next environment, and end with the one that started them.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import mmap
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.envs.registration import EnvSpec

from rl_eval.envs import worker_process
from rl_eval.envs.copies import Arrays, GymnasiumVector, Layout
from rl_eval.envs.worker_process import Line, encode


class WorkerError(RuntimeError):
    """A worker process died, or an environment in it raised; the message holds its traceback."""


class Worker:
    """A process that steps batches of copies for this one; see `worker_process`."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            # Neither fork (threads of torch hold locks) nor multiprocessing's spawn (it imports the main module
            # again, and daemonic processes may not use it). A group of its own: Ctrl-C is for this process.
            self.process = subprocess.Popen(
                [sys.executable, "-P", worker_process.__file__, str(theirs.fileno()), str(os.getpid())],
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                process_group=0,
            )
        self._line = Line(ours, self._check)
        self._lock = threading.RLock()  # two threads may step two environments
        self._owner = os.getpid()
        self._replies: dict[int, list[dict[str, Any]]] = {}  # of the batches that are open
        self.usable = True  # for another environment

    def open(self, batch: int, message: dict[str, Any], memory: int) -> None:
        """Begin a batch over shared memory, an open file; one answer will come."""
        self._replies[batch] = []
        self.send(encode({"do": "open", "batch": batch, **message}), memory)

    def send(self, message: bytes, descriptor: int | None = None) -> None:
        """Say what is to be done.

        Raises:
            WorkerError: the process is gone, or is another process's.
        """
        self._refuse_fork()
        try:
            with self._lock:
                self._line.send(message, descriptor)
        except OSError:
            raise self._gone() from None

    def receive(self, batch: int) -> None:
        """Wait until what was said is done.

        Raises:
            WorkerError: it raised, or the process is gone.
        """
        self._refuse_fork()
        with self._lock:
            mine = self._replies[batch]
            while not mine:
                try:
                    reply = self._line.receive()
                except (EOFError, OSError):
                    raise self._gone() from None
                if reply["batch"] in self._replies:
                    self._replies[reply["batch"]].append(reply)
            reply = mine.pop(0)
        if "error" in reply:
            raise WorkerError(f"an environment failed in a worker process:\n\n{reply['error']}")

    def close(self, batch: int) -> None:
        """End a batch; nothing to wait for."""
        if self._replies.pop(batch, None) is None or os.getpid() != self._owner:
            return
        with contextlib.suppress(WorkerError):
            self.send(encode({"do": "close", "batch": batch}))

    def end(self, wait_s: float = 0.0) -> None:
        """End the process; it has `wait_s` to close its environments."""
        self.usable = False
        if os.getpid() != self._owner:
            return
        self._line.close()
        try:
            self.process.wait(wait_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def _refuse_fork(self) -> None:
        if os.getpid() != self._owner:
            raise WorkerError("made before this process was forked: make the environment after the fork")

    def _check(self) -> None:
        """Children of the process may hold its end of the line open, though it is dead."""
        if self.process.poll() is not None:
            raise EOFError

    def _gone(self) -> WorkerError:
        self.usable = False
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(0.5)
        status = self.process.returncode
        if status is None:
            how = "hung up"
        else:
            how = f"ended with status {status}" if status >= 0 else f"was killed by {signal.Signals(-status).name}"
        return WorkerError(
            f"a worker process that steps environments {how}: what it printed on stderr may say why; "
            "env.workers=1 steps every copy in this process"
        )


_crew: list[Worker] = []


def _alive() -> list[Worker]:
    return [w for w in _crew if w.usable and w._owner == os.getpid() and w.process.poll() is None]


def _workers(count: int) -> list[Worker]:
    """Processes of this one that are ready for an environment, started where there are too few."""
    _crew[:] = _alive()
    if not _crew:
        import atexit

        atexit.unregister(_dismiss)
        atexit.register(_dismiss)
    while len(_crew) < count:
        _crew.append(Worker())
    return _crew[:count]


def _dismiss() -> None:
    for worker in _crew:
        worker.end(wait_s=1.0)


class WorkersVector(GymnasiumVector):
    """`GymnasiumVector`, its copies shared out between this process and others; the results are the same.

    The processes start while this one goes on; what goes wrong there is raised by the first reset.

    Args:
        processes: how many step copies, this one included.
        module: imported first, where the environment's id names one.
        share: the copies of this process, `num_envs // processes` of them.

    Raises:
        WorkerError: by `reset` and `step`: a process died, or an environment in it raised.
    """

    _numbers = itertools.count()

    def __init__(
        self,
        share: list[gym.Env],
        *,
        spec: EnvSpec,
        kwargs: dict[str, Any],
        module: str,
        num_envs: int,
        processes: int,
        autoreset: bool = True,
    ):
        self._others: list[tuple[Worker, int, int]] = []  # and the rows of each: first, past the last
        super().__init__(share, autoreset=autoreset, num_envs=num_envs)
        self._number = next(self._numbers)
        self._step_for: tuple[tuple[int, ...], str] | None = None  # actions that the message of a step is for
        self._step_message = b""
        self._opening = True
        self._lost: str | None = None
        message = {
            "path": [os.path.abspath(place) for place in sys.path],
            "module": module,
            "spec": spec.to_json(),
            "kwargs": kwargs,
            "layout": asdict(self._arrays.layout),
            "autoreset": autoreset,
        }
        edges = np.linspace(len(share), num_envs, processes).astype(int).tolist()
        try:
            for worker, first, last in zip(_workers(processes - 1), edges, edges[1:], strict=False):
                self._others.append((worker, first, last))
                worker.open(self._number, {**message, "first": first, "count": last - first}, self._file)
        except WorkerError:
            self.close()
            raise
        finally:
            os.close(self._file)

    def _allocate(self, layout: Layout) -> Arrays:
        # No name, so that nothing is left behind however the processes end.
        if hasattr(os, "memfd_create"):
            self._file = os.memfd_create("rl_eval")
        else:
            with tempfile.TemporaryFile() as file:
                self._file = os.dup(file.fileno())
        os.ftruncate(self._file, Arrays.size(layout))
        return Arrays(layout, mmap.mmap(self._file, Arrays.size(layout)))

    def _reset(self, rows: np.ndarray, seeds: list[int | None]) -> None:
        self._opened()
        orders = []
        for worker, first, last in self._others:
            its = slice(*np.searchsorted(rows, [first, last]).tolist())
            if its.start < its.stop:
                order = {"do": "reset", "batch": self._number, "rows": rows[its].tolist(), "seeds": seeds[its]}
                orders.append((worker, encode(order)))
        mine = int(np.searchsorted(rows, len(self._batch.copies)))
        self._together(orders, lambda: self._batch.reset(rows[:mine], seeds[:mine]))

    def _step(self, actions: np.ndarray) -> None:
        self._opened()
        arrays, shape, dtype = self._arrays, actions.shape, actions.dtype.str
        shared = arrays.actions(shape, dtype)
        shared[...] = actions
        if (shape, dtype) != self._step_for:
            self._step_for = shape, dtype
            self._step_message = encode({"do": "step", "batch": self._number, "shape": shape, "dtype": dtype})
        message = self._step_message
        orders = []
        for worker, first, last in self._others:
            if not arrays.idle[first:last].all():
                orders.append((worker, message))
            else:
                arrays.rewards[first:last], arrays.terminated[first:last], arrays.truncated[first:last] = (
                    0,
                    False,
                    False,
                )
        self._together(orders, lambda: self._batch.step(shared))

    def _opened(self) -> None:
        """Wait for the processes to have made their copies."""
        if self._lost:
            raise WorkerError(self._lost)
        if self._opening:
            self._together([(worker, None) for worker, _, _ in self._others], lambda: None)
            self._opening = False

    def _together(self, orders: Sequence[tuple[Worker, bytes | None]], own: Callable[[], None]) -> None:
        """Do this process's part while others do theirs; None: what was said before is still to be answered."""
        asked: list[Worker] = []
        failures: list[WorkerError] = []
        try:
            try:
                for worker, message in orders:
                    if message:
                        worker.send(message)
                    asked.append(worker)
                own()
            except WorkerError as failure:  # it was gone before it could be asked
                failures.append(failure)
            finally:  # whether or not that went well: no answer may be left for the next question
                for worker in asked:
                    try:
                        worker.receive(self._number)
                    except WorkerError as failure:
                        failures.append(failure)
            if failures:
                raise failures[0]
        except (KeyboardInterrupt, SystemExit):
            self._lost = "a step was interrupted, so that its copies are not all where they should be: make them anew"
            for worker in asked:  # it may be in the middle of an answer, or never come to one
                worker.end()
            raise
        finally:
            if (failures and self._opening) or not all(worker.usable for worker, _ in orders):
                self._lost = self._lost or str(failures[0] if failures else "a worker process is gone")

    def close_extras(self, **kwargs):
        """Close every copy; the processes stay for the next environment."""
        for worker, _, _ in self._others:
            worker.close(self._number)
        super().close_extras()


def processes(wanted: str | int, spec: EnvSpec, kwargs: dict[str, Any], num_envs: int, *, slow_steps: bool) -> int:
    """How many processes are to step the copies, this one included.

    `auto`: two where the environment's steps are slow, this process is nobody's worker and it has two cores, else one.
    """
    if wanted != "auto":
        return max(1, min(int(wanted), num_envs))
    pays = slow_steps and num_envs > 1 and cores() > 1 and not is_worker()
    return 2 if pays and travels(spec, kwargs) else 1


def travels(spec: EnvSpec, kwargs: dict[str, Any]) -> bool:
    """Whether another process can make the same environment from JSON, on a system that has what it takes."""
    try:
        same = json.loads(json.dumps(kwargs)) == kwargs and EnvSpec.from_json(spec.to_json()) == spec
    except (TypeError, ValueError):
        return False
    return same and hasattr(socket, "send_fds") and hasattr(os, "sched_yield")


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def is_worker() -> bool:
    """Whether another process shares its work out to this one and its like: joblib, multiprocessing, pytest-xdist."""
    return multiprocessing.parent_process() is not None or "PYTEST_XDIST_WORKER" in os.environ
