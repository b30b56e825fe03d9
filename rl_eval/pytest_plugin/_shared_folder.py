"""What the processes of one session share under xdist: JSON values in a private folder, and locks."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


class SharedFolder:
    """Values by name; without a folder nothing is kept, and nobody waits for a lock.

    Args:
        given: by the process that started this one; None: this process was not started by another.
    """

    def __init__(self, given: str | None):
        # a worker on another machine cannot see the folder, and judges by itself
        self._path = Path(given) if given and Path(given).is_dir() else None
        self._is_own = False

    def make(self) -> Path:
        """The folder, made on first use."""
        if self._path is None:
            self._path, self._is_own = Path(tempfile.mkdtemp(prefix="rl_eval-")), True
        return self._path

    def remove(self) -> None:
        """Remove the folder, if this process made it."""
        if self._path is not None and self._is_own:
            shutil.rmtree(self._path, ignore_errors=True)

    @contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Only one process at a time is in a block of this name."""
        if self._path is None:
            yield
            return
        from filelock import FileLock

        with FileLock(self._path / f"{name}.lock"):
            yield

    def read(self, name: str) -> Any:
        """The value of this name; None if there is none."""
        file = self._path / f"{name}.json" if self._path else None
        return json.loads(file.read_text()) if file and file.exists() else None

    def read_all(self, prefix: str) -> list[Any]:
        """The values whose names begin so, in the order of their names."""
        files = sorted(self._path.glob(f"{prefix}*.json")) if self._path else []
        return [json.loads(file.read_text()) for file in files]

    def write(self, name: str, value: Any) -> None:
        """Keep a value for all processes."""
        if self._path:
            (self._path / f"{name}.json").write_text(json.dumps(value))
