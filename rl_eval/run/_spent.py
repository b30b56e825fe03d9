"""The file `spent` of a run or sweep with a budget: what each job has spent of it so far."""

from __future__ import annotations

import contextlib
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

FILE = "spent"
_FORMAT = struct.Struct("<d")


@dataclass(frozen=True)
class SpentFile:
    """One number for each job, in the unit of the budget, written in place.

    Writing takes microseconds, so that it can be done after every iteration, and outlives a killed process. It is a
    shared file: on a network file system, others see a number as late as that system lets them.

    Attributes:
        job: the number of this job.
        jobs: how many there are.
    """

    descriptor: int
    job: int
    jobs: int

    def own(self) -> float:
        """What this job has spent."""
        return float(self._numbers()[self.job])

    def write(self, spent: float) -> float:
        """Write what this job has spent; returns the sum over all jobs."""
        os.pwrite(self.descriptor, _FORMAT.pack(spent), _FORMAT.size * self.job)
        return float(self._numbers().sum())

    def total(self) -> float:
        """The sum over all jobs."""
        return float(self._numbers().sum())

    def _numbers(self) -> np.ndarray:
        return np.frombuffer(os.pread(self.descriptor, _FORMAT.size * self.jobs, 0), "<f8")


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
