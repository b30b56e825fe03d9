"""The file `spent` of a run or sweep with a budget: what each job has spent of it so far."""

from __future__ import annotations

import contextlib
import math
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

FILE = "spent"
_FORMAT = struct.Struct("<dd")


@dataclass(frozen=True)
class SpentFile:
    """Machine-seconds and money of each job, written in place; money that is not known is NaN.

    Writing takes microseconds, so that it can be done after every iteration, and outlives a killed process. It is a
    shared file: on a network file system, others see a number as late as that system lets them.

    Attributes:
        job: the number of this job.
        jobs: how many there are.
    """

    descriptor: int
    job: int
    jobs: int

    def own(self) -> tuple[float, float]:
        """What this job has spent: machine-seconds, and money."""
        machine_s, money = self._rows()[self.job]
        return float(machine_s), float(money)

    def write(self, machine_s: float, money: float | None) -> tuple[float, float]:
        """Write what this job has spent; returns the sums over all jobs."""
        row = _FORMAT.pack(machine_s, math.nan if money is None else money)
        os.pwrite(self.descriptor, row, _FORMAT.size * self.job)
        return self.total()

    def total(self) -> tuple[float, float]:
        """The sums over all jobs."""
        machine_s, money = self._rows().sum(axis=0)
        return float(machine_s), float(money)

    def _rows(self) -> np.ndarray:
        return np.frombuffer(os.pread(self.descriptor, _FORMAT.size * self.jobs, 0), "<f8").reshape(-1, 2)


@contextlib.contextmanager
def open_spent(folder: Path, job: int = 0, jobs: int = 1) -> Iterator[SpentFile]:
    """The file of a run's directory, or of a sweep's; made where there is none."""
    descriptor = os.open(folder / FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
    try:
        if os.fstat(descriptor).st_size < _FORMAT.size * jobs:
            os.ftruncate(descriptor, _FORMAT.size * jobs)  # zeros
        yield SpentFile(descriptor, job, jobs)
    finally:
        os.close(descriptor)
