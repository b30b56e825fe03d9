"""The embedded queue: a file of SQLite next to the store, so that the servers never wait for the store's writers.

The log is written ahead with `synchronous=NORMAL`: a commit reaches the operating system before `put` returns, so the
end of a process loses nothing. `sync` brings it to the disk.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from rl_eval import run
from rl_eval.errors import InputError
from rl_eval.production.clock import SteadyClock
from rl_eval.production.disk import advice, with_full_disk
from rl_eval.production.queues.protocol import Message, QueueError, QueueFullError

BUSY_S = 5.0
POLL_S = 0.02
_ENDS = "SELECT (SELECT min(seq) FROM queue), (SELECT max(seq) FROM queue)"  # both in one aggregate read all rows
LOG_PAGES = 2_000  # from which the collector writes the log into the file


class SqliteQueue:
    """See `Queue`. Several servers may put in; one collector takes.

    Args:
        most: messages that may wait.

    Raises:
        InputError: the file cannot be used.
    """

    is_quick = True

    def __init__(self, file: Path, most: int):
        self._file, self._most, self._lock = file, most, threading.Lock()
        self._log = file.with_name(f"{file.name}-wal")
        self._acknowledged = 0
        self._clock = SteadyClock()  # where the clock of the day is set back, nothing is old before its time
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(file, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
            for pragma in (
                "journal_mode=WAL", "synchronous=NORMAL", "secure_delete=ON", "wal_autocheckpoint=0",
                "trusted_schema=OFF",
            ):  # fmt: skip
                self._db.execute(f"PRAGMA {pragma}")
            self._db.execute(
                "CREATE TABLE IF NOT EXISTS queue"
                "(seq INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, body BLOB NOT NULL)"
            )
        except (sqlite3.Error, OSError) as error:
            reason = with_full_disk(str(error), file)
            raise InputError(
                f"{file} cannot be opened as a queue ({reason}): {advice(file)}, or name another folder"
            ) from error

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        with self._translated():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        with self._lock:
            try:
                if not self._file.exists():
                    raise OSError(2, "it was removed while it was used")
                yield
            except (sqlite3.Error, OSError) as error:
                reason = with_full_disk(str(error), self._file)
                raise QueueError(f"{self._file} cannot be used ({reason})") from error

    def put(self, messages: Sequence[bytes]) -> None:
        """Add messages."""
        now = self._clock.now()
        with self._writing():
            first, last = self._db.execute(_ENDS).fetchone()
            if first is not None and last - first >= self._most:
                raise QueueFullError(f"{self._file} has {last - first + 1:,} messages waiting: start a collector")
            self._db.executemany("INSERT INTO queue(at, body) VALUES (?, ?)", [(now, body) for body in messages])

    def take(self, limit: int, wait_s: float) -> list[Message]:
        """The oldest messages."""
        end = time.monotonic() + wait_s
        while True:
            with self._translated():
                rows = self._db.execute("SELECT seq, body FROM queue ORDER BY seq LIMIT ?", (limit,)).fetchall()
            if rows or time.monotonic() >= end:
                return [Message(seq, body) for seq, body in rows]
            time.sleep(POLL_S)

    def acknowledge(self, messages: Sequence[Message]) -> None:
        """Remove messages."""
        with self._writing():
            self._db.executemany("DELETE FROM queue WHERE seq = ?", [(message.token,) for message in messages])
        with self._translated():
            self._acknowledged += len(messages)
            if self._acknowledged >= LOG_PAGES:
                self._acknowledged = 0
                self._db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def waiting(self) -> tuple[int, float | None]:
        """Count and time of the oldest."""
        with self._translated():
            return self._db.execute("SELECT count(*), min(at) FROM queue").fetchone()

    def sync(self) -> None:
        """Bring the log to the disk."""
        with contextlib.suppress(OSError):
            run.fsync(self._log)

    def remove_old(self, before: float) -> int:
        """Remove old messages, and write the log into the file and empty it."""
        with self._writing():
            count = self._db.execute("DELETE FROM queue WHERE at < ?", (before,)).rowcount
        with self._translated():
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        return count

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()
