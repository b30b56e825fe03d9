"""`Store`: decisions and what followed them, in SQLite; what a method has returned from is there after a kill.

The journal is a write-ahead log with `synchronous=NORMAL`: a commit reaches the operating system before the method
returns, so the end of the process loses nothing, however it ends. A thread has the log written to the disk once a
second, so a power failure loses what was committed in the last moments and nothing else: the log is read up to its last
whole commit. To wait for the disk at each commit (`FULL`) took 4 ms instead of .05. What must survive in its order is
followed by `wait_for_disk`.
"""

from __future__ import annotations

import contextlib
import errno
import math
import os
import secrets
import sqlite3
import threading
import time
import urllib.parse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rl_eval import run
from rl_eval.errors import InputError
from rl_eval.serving import rows
from rl_eval.serving.bodies import RefusedError
from rl_eval.serving.rows import DamagedStoreError, Decision, Experience, StoredTransition

FILE = "store.sqlite"
SCHEMA = "1"
STALE, FAULTY = -1, -2  # `used` of what no update will learn from: of an earlier version; an update failed on it
RETURNS = 100  # episodes of the mean return
BUSY_S = 10.0
PRUNED_AT_ONCE = 1024  # decisions
LOG_BYTES = 32 << 20  # from which the log is written into the file
LOOK_S = 1.0  # between looks at it

_TABLES = """
CREATE TABLE IF NOT EXISTS meta(key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS decisions(
    seq INTEGER PRIMARY KEY, nonce TEXT NOT NULL, version TEXT, unit TEXT, observation BLOB NOT NULL, mask BLOB,
    action BLOB NOT NULL, log_prob REAL, value REAL, confidence REAL, greedy INTEGER NOT NULL, at REAL NOT NULL);
CREATE INDEX IF NOT EXISTS decisions_of_unit ON decisions(unit, seq) WHERE unit IS NOT NULL;
CREATE TABLE IF NOT EXISTS own_ids(id TEXT PRIMARY KEY, seq INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS experience(
    seq INTEGER PRIMARY KEY, reward REAL NOT NULL, terminated INTEGER NOT NULL, truncated INTEGER NOT NULL,
    next_observation BLOB, next_mask BLOB, at REAL NOT NULL, used INTEGER);
CREATE INDEX IF NOT EXISTS unused_experience ON experience(seq) WHERE used IS NULL;
CREATE TABLE IF NOT EXISTS running(unit TEXT PRIMARY KEY, seq INTEGER NOT NULL, return REAL NOT NULL);
CREATE TABLE IF NOT EXISTS episodes(seq INTEGER PRIMARY KEY, return REAL NOT NULL);
-- Small ones to count by: the tables themselves hold all observations.
CREATE INDEX IF NOT EXISTS counted_decisions ON decisions(greedy);
CREATE INDEX IF NOT EXISTS counted_rewards ON experience(reward);
"""


class Counts(NamedTuple):
    """What is counted of a store's rows; the mean return is that of the latest 100 episodes of units."""

    decisions: int
    experiences: int
    mean_reward: float | None
    episodes: int
    mean_return: float | None


class Store:
    """The store of one server; no other process may have it open.

    Args:
        folder: where its file is, or is made.
        keep: decisions to keep at most; the oldest are dropped.

    Raises:
        InputError: the file cannot be opened, or is of another program.
    """

    def __init__(self, folder: Path, keep: int):
        self._file, self._keep = folder / FILE, keep
        try:
            self._db = self._connect(mode="rwc")
            self._db.executescript(_TABLES)
            (count,) = self._db.execute("SELECT count(*) FROM meta").fetchone()
            if not count:
                self.write_meta(schema=SCHEMA)
            if self.read_meta("schema") != SCHEMA:
                raise InputError(f"{self._file} is from another version of this program: name another --folder")
            ends = self._db.execute("SELECT coalesce(max(seq), 0), coalesce(min(seq), 1) FROM decisions").fetchone()
            self._latest, self._first = (rows.whole_number(end, "the number of a decision") for end in ends)
            self._inode = os.stat(self._file).st_ino
        except (sqlite3.OperationalError, OSError) as error:
            raise InputError(
                f"{self._file} cannot be written ({error}): make room, or name another --folder"
            ) from error
        except sqlite3.Error as error:
            raise InputError(f"{self._file} is not a store of this program ({error}): name another --folder") from error
        self._log = self._file.with_name(f"{FILE}-wal")
        self._commits = 0
        self._closing = threading.Event()
        threading.Thread(target=self._keep_log, daemon=True, name="store").start()

    def wait_for_disk(self) -> None:
        """Return once everything that was committed outlives a power failure; for any thread.

        Raises:
            OSError: the disk fails.
        """
        run.fsync(self._log)
        run.fsync(self._file.parent)

    def _keep_log(self) -> None:
        """In a thread: keep the log durable and short.

        It is written back into the file while others write, and then once more to start again.
        """
        on_disk = 0
        while not self._closing.wait(LOOK_S):
            with contextlib.suppress(OSError, sqlite3.Error):  # it is tried again
                commits = self._commits
                if commits > on_disk:
                    self.wait_for_disk()
                    on_disk = commits
                if self._log.stat().st_size > LOG_BYTES:
                    with contextlib.closing(self._connect()) as db:
                        db.execute("PRAGMA wal_checkpoint(PASSIVE)")
                        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def _connect(self, mode: str = "rw") -> sqlite3.Connection:
        address = f"file:{urllib.parse.quote(str(self._file.absolute()))}?mode={mode}"
        db = sqlite3.connect(address, timeout=BUSY_S, isolation_level=None, uri=True)
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=NORMAL")
        db.execute("PRAGMA wal_autocheckpoint=0")
        db.execute("PRAGMA trusted_schema=OFF")
        return db

    def require_file(self) -> None:
        """Accept a file that has its name still.

        Raises:
            OSError: somebody removed or replaced it, so that nothing of it would be found again.
        """
        if os.stat(self._file).st_ino != self._inode:
            raise OSError(errno.ESTALE, "it was replaced while it was served", str(self._file))

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing.

        Raises:
            sqlite3.Error, OSError: it cannot be written.
        """
        self.require_file()
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")
        self._commits += 1

    def add_decisions(self, decisions: Sequence[Decision]) -> list[str]:
        """Their ids, in order; inside a `transaction`."""
        now, nonces = time.time(), secrets.token_hex(6 * len(decisions))
        columns, ids = [], []
        for i, decision in enumerate(decisions):
            self._latest += 1
            nonce = nonces[12 * i : 12 * i + 12]
            columns.append((self._latest, nonce, *decision, now))
            ids.append(f"{self._latest}-{nonce}")
        self._db.executemany("INSERT INTO decisions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", columns)
        while self._latest - self._first >= self._keep + PRUNED_AT_ONCE:
            self._prune()
        return ids

    def _prune(self) -> None:
        self._first = self._latest - self._keep + 1
        for table in ("decisions", "experience", "own_ids", "running", "episodes"):
            self._db.execute(f"DELETE FROM {table} WHERE seq < ?", (self._first,))

    def find(self, decision_id: str) -> int | None:
        """The number of a decision; None if there is none of that id."""
        own = self._db.execute("SELECT seq FROM own_ids WHERE id = ?", (decision_id,)).fetchone()
        if own is not None:
            return rows.whole_number(own[0], f"the decision of {decision_id}")
        number, _, nonce = decision_id.partition("-")
        if not number.isascii() or not number.isdigit() or len(number) > 18:
            return None
        row = self._db.execute("SELECT nonce FROM decisions WHERE seq = ?", (int(number),)).fetchone()
        return int(number) if row is not None and secrets.compare_digest(str(row[0]), nonce) else None

    def is_own(self, decision_id: str) -> bool:
        """Whether an id is one that a client has chosen."""
        return self._db.execute("SELECT 1 FROM own_ids WHERE id = ?", (decision_id,)).fetchone() is not None

    def decision(self, seq: int) -> Decision:
        """A stored decision."""
        names = ", ".join(Decision._fields)
        row = self._db.execute(f"SELECT {names} FROM decisions WHERE seq = ?", (seq,)).fetchone()
        if row is None:
            raise DamagedStoreError(f"decision {seq} is missing")
        return rows.decision(seq, row)

    def name_decision(self, decision_id: str, seq: int) -> None:
        """Give a decision an id of the client's own; inside a `transaction`."""
        self._db.execute("INSERT INTO own_ids VALUES (?, ?)", (decision_id, seq))

    def add_experience(self, seq: int, experience: Experience) -> bool:
        """What followed a decision; inside a `transaction`.

        Returns:
            Whether it is new; False if the same was stored before.

        Raises:
            RefusedError: 409, another one was stored before.
        """
        names = ", ".join(Experience._fields)
        row = self._db.execute(f"SELECT {names} FROM experience WHERE seq = ?", (seq,)).fetchone()
        if row is not None:
            if rows.experience(seq, row) == experience:
                return False
            raise RefusedError(
                409, (f"the experience of decision {seq} is already stored with other values: it cannot change")
            )
        values = (seq, *experience, time.time(), None)
        self._db.execute("INSERT INTO experience VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values)
        return True

    def waiting(self) -> int:
        """How many transitions no update has used."""
        return self._db.execute("SELECT count(*) FROM experience WHERE used IS NULL").fetchone()[0]

    def unused(self, version: str | None, limit: int) -> list[StoredTransition]:
        """Complete transitions that no update has used, the oldest first; for any thread.

        Args:
            version: only those whose action this version drew; None: of all.
        """
        where = "e.used IS NULL"
        if version is not None:
            where += " AND d.greedy = 0 AND d.version = :version"
        return self._read(where, {"version": version}, limit)

    def updates_that_fill(self, size: int, updates: int) -> list[int]:
        """The latest of the first `updates` updates that together used at least `size` transitions, in their order."""
        query = "SELECT used, count(*) FROM experience WHERE used BETWEEN 1 AND ? GROUP BY used ORDER BY used DESC"
        with self._reader() as db:
            counts = db.execute(query, (updates,)).fetchall()
        chosen: list[int] = []
        for number, count in counts:
            if size <= 0:
                break
            chosen.append(number)
            size -= count
        return chosen[::-1]

    def used_by(self, update: int) -> list[StoredTransition]:
        """The transitions that an update used; for any thread."""
        return self._read("e.used = :update", {"update": update}, -1)

    def _read(self, where: str, values: dict[str, Any], limit: int) -> list[StoredTransition]:
        decision = ", ".join(f"d.{name}" for name in Decision._fields)
        following = "SELECT n.{} FROM decisions n WHERE n.unit = d.unit AND n.seq > d.seq ORDER BY n.seq LIMIT 1"
        query = f"""
            SELECT d.seq, {decision}, e.reward, e.terminated, e.truncated,
                coalesce(e.next_observation, ({following.format("observation")})),
                CASE WHEN e.next_observation IS NULL THEN ({following.format("mask")}) ELSE e.next_mask END
            FROM experience e JOIN decisions d USING (seq)
            WHERE {where} AND (e.terminated OR e.next_observation IS NOT NULL
                OR EXISTS (SELECT 1 FROM decisions n WHERE n.unit = d.unit AND n.seq > d.seq))
            ORDER BY d.seq LIMIT :limit"""
        with self._reader() as db:
            found = db.execute(query, {**values, "limit": limit}).fetchall()
        end = 1 + len(Decision._fields)
        return [
            StoredTransition(row[0], rows.decision(row[0], row[1:end]), rows.experience(row[0], row[end:]))
            for row in found
        ]

    @contextlib.contextmanager
    def _reader(self) -> Iterator[sqlite3.Connection]:
        """A connection for another thread.

        Raises:
            OSError: the file is gone, or is another one.
        """
        self.require_file()
        with contextlib.closing(self._connect()) as db:
            yield db

    def mark(self, seqs: Sequence[int], used: int) -> None:
        """Say which update used transitions; inside a `transaction`."""
        self._db.executemany("UPDATE experience SET used = ? WHERE seq = ?", [(used, seq) for seq in seqs])

    def mark_stale(self, version: str) -> None:
        """Set aside what other versions drew; inside a `transaction`."""
        self._db.execute(
            "UPDATE experience SET used = ? WHERE used IS NULL AND seq IN "
            "(SELECT d.seq FROM decisions d WHERE d.seq = experience.seq AND (d.version IS NOT ? OR d.greedy))",
            (STALE, version),
        )

    def add_return(self, seq: int, unit: str, reward: float, ended: bool) -> None:
        """Add a new reward to the return of the episode that a unit is in; inside a `transaction`."""
        row = self._db.execute("SELECT return FROM running WHERE unit = ?", (unit,)).fetchone()
        total = (0.0 if row is None else _finite(row[0], "a return")) + reward
        if ended:
            self._db.execute("DELETE FROM running WHERE unit = ?", (unit,))
            self._db.execute("INSERT OR REPLACE INTO episodes VALUES (?, ?)", (seq, total))
        else:
            self._db.execute("INSERT OR REPLACE INTO running VALUES (?, ?, ?)", (unit, seq, total))

    def counts(self) -> Counts:
        """What is counted of the rows that are kept."""
        decisions, experiences, reward = self._db.execute(
            "SELECT (SELECT count(*) FROM decisions), count(*), avg(reward) FROM experience"
        ).fetchone()
        episodes, mean_return = self._db.execute(
            "SELECT (SELECT count(*) FROM episodes), "
            f"avg(return) FROM (SELECT return FROM episodes ORDER BY seq DESC LIMIT {RETURNS})"
        ).fetchone()
        return Counts(
            decisions,
            experiences,
            None if reward is None else _finite(reward, "the mean reward"),
            episodes,
            None if mean_return is None else _finite(mean_return, "the mean return"),
        )

    def write_meta(self, **values: str) -> None:
        """Keep texts by name."""
        self._db.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", list(values.items()))

    def read_meta(self, key: str) -> str | None:
        """A text that was kept; None if there is none."""
        row = self._db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        if row is not None and not isinstance(row[0], str):
            raise DamagedStoreError(f"{key} is not text")
        return None if row is None else row[0]

    def close(self) -> None:
        """Write the log into the file, durably."""
        self._closing.set()
        with contextlib.suppress(sqlite3.Error):
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._db.close()


def _finite(value: Any, name: str) -> float:
    if not isinstance(value, float) or not math.isfinite(value):
        raise DamagedStoreError(f"{name} is {str(value)[:40]!r}")
    return value
