"""`file_stamp`: what changes when a file is written or replaced, for the keys of caches of data."""

from __future__ import annotations

from pathlib import Path


def file_stamp(file: Path) -> tuple[str, int, int, int, int]:
    """Path, inode, size, and times of the last change of content and of the last change of any kind, in nanoseconds.

    The last of them cannot be set back, so that a file with an old size and time is not taken for the old file.

    Raises:
        OSError: it does not exist.
    """
    status = file.stat()
    return str(file), status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
