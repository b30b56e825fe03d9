"""One process a run: an operating system's lock, which dies with the process that holds it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from rl_eval.errors import InputError

FILE = "run.lock"


@contextlib.contextmanager
def held(directory: Path) -> Iterator[None]:
    """Within: no other process trains, resumes or verifies the run in `directory`.

    The file stays when the lock is given up; what counts is the lock on it, so none is ever left over.

    Raises:
        InputError: another process holds it, or the directory cannot be written.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(directory / FILE, timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise InputError(
            f"{directory} is in use by another process, which trains or verifies it: wait until it has ended"
        ) from error
    except OSError as error:
        raise InputError(
            f"{directory / FILE} cannot be written ({error.strerror or error}): make it writable"
        ) from error
    try:
        yield
    finally:
        lock.release()
