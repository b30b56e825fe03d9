"""How much room a disk has: SQLite says `disk I/O error` about a full one, and about much else."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

LEAST_BYTES = 1 << 20  # with less, SQLite cannot work


def with_full_disk(reason: str, file: Path) -> str:
    """A reason why a file cannot be used, and that its disk is full, where it is."""
    free = _free_kib(file)
    return reason if free is None else f"{reason}; {free} KiB are left on its disk"


def advice(file: Path) -> str:
    """What to do about a file that cannot be opened."""
    if _free_kib(file) is not None:
        return "make room there"
    return "see that it is whole, and that this user may write it"


@dataclass(frozen=True)
class Disk:
    """The disk of an embedded part, in bytes."""

    size: int
    free: int

    @property
    def is_full(self) -> bool:
        """Whether nothing more can be written."""
        return self.free < LEAST_BYTES


def disk_of(path: Path) -> Disk | None:
    """The disk of a file or folder that need not exist; None where its folder does not."""
    try:
        usage = shutil.disk_usage(path.parent)
    except OSError:
        return None
    return Disk(usage.total, usage.free)


def _free_kib(file: Path) -> int | None:
    """None where there is enough room."""
    disk = disk_of(file)
    return disk.free >> 10 if disk is not None and disk.is_full else None
