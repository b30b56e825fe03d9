"""Arrays of a replay buffer, in memory or in a file."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import IO

import numpy as np

CHUNK = 1 << 20  # bytes that are written at once


def allocate(shape: tuple[int, ...], dtype: np.dtype, storage: str, folder: Path | None) -> np.ndarray:
    """Zeros, in memory or in a file without a name (`memmap`).

    The system removes that file when the process ends, also if it is killed.

    Raises:
        ValueError: the folder is missing, cannot be written, or has no room.
    """
    if storage == "memory":
        return np.zeros(shape, dtype)
    if folder is None:
        raise ValueError("storage=memmap needs a folder")
    needed = int(np.prod(shape, dtype=object)) * dtype.itemsize
    remedy = "name another folder, or use storage=memory"
    try:
        free = shutil.disk_usage(folder).free
        if free < needed:
            raise ValueError(f"{folder} has {free:,} bytes free, and the replay buffer needs {needed:,}: {remedy}")
        with tempfile.TemporaryFile(dir=folder) as file:
            reserve(file, needed)
            return np.asarray(np.memmap(file, dtype, "r+", shape=shape))
    except OSError as error:
        raise ValueError(f"{folder} cannot hold the replay buffer ({error.strerror}): {remedy}") from error


def reserve(file: IO[bytes], size: int) -> None:
    """Fill a new file with `size` zeros that take their room on the disk: a sparse file could fail during training.

    Raises:
        OSError: there is no room.
    """
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), 0, size)
        return
    for start in range(0, size, CHUNK):  # macOS has no such call
        file.write(bytes(min(CHUNK, size - start)))
    file.flush()
