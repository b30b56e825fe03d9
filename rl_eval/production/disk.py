"""Whether a disk is full: SQLite says `disk I/O error` about that, and about much else."""

from __future__ import annotations

import shutil
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


def _free_kib(file: Path) -> int | None:
    """None where there is enough room."""
    try:
        free = shutil.disk_usage(file.parent).free
    except OSError:
        return None
    return None if free >= LEAST_BYTES else free >> 10
