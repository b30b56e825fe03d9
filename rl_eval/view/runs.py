"""`Runs`: the list of runs as it is now, and a run by its id in an address."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

from rl_eval.run_index import Entry, Listing, list_runs

FRESH_S = 1.0  # so long a list is shown without looking at the files again


def run_id(path: str) -> str:
    """What names a run in an address: a hash of its path, so that no path comes from a request."""
    return hashlib.sha256(os.fsencode(path)).hexdigest()[:16]


class Runs:
    """The runs below a folder, for several threads.

    Raises:
        InputError: the folder does not exist.
    """

    def __init__(self, outputs: Path, on_read: Callable[[int, int], None] | None = None):
        self.outputs = outputs
        self._lock = threading.Lock()
        self._read(on_read)

    def _read(self, on_read: Callable[[int, int], None] | None = None) -> None:
        self._listing = list_runs(self.outputs, on_read)
        self._by_id = {run_id(entry.path): entry for entry in self._listing.entries}
        self._read_at = time.monotonic()

    def listing(self) -> Listing:
        """The list, at most a second old."""
        with self._lock:
            if time.monotonic() - self._read_at > FRESH_S:
                self._read()
            return self._listing

    def entry(self, name: str) -> Entry | None:
        """The run of an id; None if there is none."""
        self.listing()
        return self._by_id.get(name)

    def directory(self, entry: Entry) -> Path:
        """Where a run is."""
        return self.outputs / entry.path
