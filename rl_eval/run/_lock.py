"""The lock of a run directory: an operating system lock that ends with its process."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from rl_eval.errors import InputError

FILE = "run.lock"


@contextlib.contextmanager
def lock(directory: Path) -> Iterator[None]:
    """Keep other processes from training, resuming, verifying or serving in `directory`.

    The file stays when the lock is released. A file without a lock on it blocks nobody.

    Raises:
        InputError: another process has the lock, or the directory cannot be written.
    """
    file_lock = FileLock(directory / FILE, timeout=0)
    try:
        file_lock.acquire()
    except Timeout as error:
        raise InputError(
            f"{directory} is in use by another process, which trains, verifies or serves it: wait until it ends"
        ) from error
    except OSError as error:
        raise InputError(
            f"{directory / FILE} cannot be written ({error.strerror or error}): make it writable"
        ) from error
    try:
        yield
    finally:
        file_lock.release()
