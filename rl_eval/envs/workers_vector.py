"""`WorkersVector`: copies of a Gymnasium environment, stepped by this process and others over shared memory.

Each process steps its share of the copies straight into shared arrays; between them goes one short message per step.
The processes stay for the next environment, and end with the one that started them.
"""

from __future__ import annotations

import itertools
import mmap
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.envs.registration import EnvSpec

from rl_eval.envs.copy_arrays import ArrayLayout, CopyArrays
from rl_eval.envs.gymnasium_vector import GymnasiumVector
from rl_eval.envs.worker import Worker, WorkerError, running_workers
from rl_eval.envs.worker_process import encode
from rl_eval.envs.wrapping import NamedWrapper
from rl_eval.errors import InputError


class WorkersVector(GymnasiumVector):
    """`GymnasiumVector` whose copies are shared between this process and others; the results are the same.

    The processes start while this one goes on; what fails there is raised by the first reset.

    Args:
        processes: how many step copies, this one included.
        module: imported first, where the environment's id names one.
        share: the copies of this process, `num_envs // processes` of them.
        facts: keys of `info` that are recorded.

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
        wrappers: Sequence[NamedWrapper] = (),
        autoreset: bool = True,
        facts: Sequence[str] = (),
    ):
        self._others: list[tuple[Worker, int, int]] = []  # and the rows of each: first, past the last
        super().__init__(share, autoreset=autoreset, num_envs=num_envs, facts=facts)
        self._number = next(self._numbers)
        self._step_shape: tuple[tuple[int, ...], str] | None = None  # actions that the message of a step is for
        self._step_message = b""
        self._opening = True
        self._broken: str | None = None
        message = {
            "path": [os.path.abspath(place) for place in sys.path],
            "module": module,
            "spec": spec.to_json(),
            "kwargs": kwargs,
            "wrappers": list(wrappers),
            "layout": asdict(self._arrays.layout),
            "autoreset": autoreset,
        }
        edges = np.linspace(len(share), num_envs, processes).astype(int).tolist()
        try:
            for worker, first, last in zip(running_workers(processes - 1), edges, edges[1:], strict=False):
                self._others.append((worker, first, last))
                worker.open(self._number, {**message, "first": first, "count": last - first}, self._file)
        except WorkerError:
            self.close()
            raise
        finally:
            os.close(self._file)

    def _allocate(self, layout: ArrayLayout) -> CopyArrays:
        # No name, so that nothing is left behind however the processes end.
        if hasattr(os, "memfd_create"):
            self._file = os.memfd_create("rl_eval")
        else:
            with tempfile.TemporaryFile() as file:
                self._file = os.dup(file.fileno())
        os.ftruncate(self._file, CopyArrays.size(layout))
        return CopyArrays(layout, mmap.mmap(self._file, CopyArrays.size(layout)))

    def _reset(self, rows: np.ndarray, seeds: list[int | None]) -> None:
        self._wait_until_open()
        requests = []
        for worker, first, last in self._others:
            part = slice(*np.searchsorted(rows, [first, last]).tolist())
            if part.start < part.stop:
                request = {"do": "reset", "group": self._number, "rows": rows[part].tolist(), "seeds": seeds[part]}
                requests.append((worker, encode(request)))
        own = int(np.searchsorted(rows, len(self._group.copies)))
        self._run(requests, lambda: self._group.reset(rows[:own], seeds[:own]))

    def _step(self, actions: np.ndarray) -> None:
        self._wait_until_open()
        arrays, shape, dtype = self._arrays, actions.shape, actions.dtype.str
        shared = arrays.actions(shape, dtype)
        shared[...] = actions
        if (shape, dtype) != self._step_shape:
            self._step_shape = shape, dtype
            self._step_message = encode({"do": "step", "group": self._number, "shape": shape, "dtype": dtype})
        message = self._step_message
        requests = []
        for worker, first, last in self._others:
            if not arrays.idle[first:last].all():
                requests.append((worker, message))
            else:
                arrays.rewards[first:last] = 0
                arrays.terminated[first:last] = arrays.truncated[first:last] = False
                arrays.facts[:, first:last] = np.nan
        self._run(requests, lambda: self._group.step(shared))

    def _wait_until_open(self) -> None:
        """Wait for the processes to have made their copies."""
        if self._broken:
            raise WorkerError(self._broken)
        if self._opening:
            self._run([(worker, None) for worker, _, _ in self._others], lambda: None)
            self._opening = False

    def _run(self, requests: Sequence[tuple[Worker, bytes | None]], own: Callable[[], None]) -> None:
        """Do this process's part while others do theirs; None: an earlier request still awaits its reply."""
        requested: list[Worker] = []
        failures: list[WorkerError | InputError] = []
        try:
            try:
                for worker, message in requests:
                    if message:
                        worker.send(message)
                    requested.append(worker)
                own()
            except (WorkerError, InputError) as failure:  # of this process, or of one that is gone
                failures.append(failure)
            except Exception:
                self._receive(requested)
                raise
            failures += self._receive(requested)
            if failures:
                raise failures[0]
        except (KeyboardInterrupt, SystemExit):
            self._broken = "a step was interrupted, so its copies are at different steps: make a new environment"
            for worker in requested:  # it may be in the middle of a reply, or never come to one
                worker.end()
            raise
        finally:
            if (failures and self._opening) or not all(worker.usable for worker, _ in requests):
                self._broken = self._broken or str(failures[0] if failures else "a worker process is gone")

    def _receive(self, requested: Sequence[Worker]) -> list[WorkerError | InputError]:
        """Wait for every reply, so that none is left for the next request; returns what failed."""
        failures: list[WorkerError | InputError] = []
        for worker in requested:
            try:
                worker.receive(self._number)
            except (WorkerError, InputError) as failure:
                failures.append(failure)
        return failures

    def close_extras(self, **kwargs):
        """Close every copy; the processes stay for the next environment."""
        for worker, _, _ in self._others:
            worker.close(self._number)
        super().close_extras()
