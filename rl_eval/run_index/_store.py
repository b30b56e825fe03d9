"""`index.sqlite`: entries with the stamps of the files that they were read from. A damaged one is built again."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import quote

from rl_eval.run_index._entry import Entry

FILE = "index.sqlite"
MAX_BYTES = 256 << 20
LOCK_S = 2.0  # for another process that writes it
# The number is that of the schema.
_TABLE = "CREATE TABLE entries_1 (path BLOB PRIMARY KEY, stamp TEXT NOT NULL, entry TEXT NOT NULL) WITHOUT ROWID"


def load(outputs: Path) -> dict[str, tuple[str, Entry]]:
    """Path -> the stamp and the entry that were stored; empty where there is no index that can be read."""
    file = outputs / FILE
    if not _is_ours(file):
        return {}
    stored: dict[str, tuple[str, Entry]] = {}
    try:
        with contextlib.closing(_open(file, "ro")) as database:
            for path, stamp, text in database.execute("SELECT path, stamp, entry FROM entries_1"):
                with contextlib.suppress(ValueError):
                    entry = Entry.from_json(text)
                    if os.fsencode(entry.path) == path and isinstance(stamp, str):
                        stored[entry.path] = stamp, entry
    except (sqlite3.Error, TypeError):
        return {}
    return stored


def save(outputs: Path, changed: Mapping[str, tuple[str, Entry]], removed: Iterable[str]) -> None:
    """Store changed entries, and remove others. An index that cannot be written stays as it is."""
    file = outputs / FILE
    if os.path.lexists(file) and not _is_ours(file):
        _discard(file)
    try:
        with contextlib.closing(_open(file, "rwc")) as database, database:
            database.execute("BEGIN IMMEDIATE")
            if not _has_table(database):
                database.execute(_TABLE)
            rows = [(os.fsencode(path), stamp, entry.to_json()) for path, (stamp, entry) in changed.items()]
            database.executemany("INSERT OR REPLACE INTO entries_1 VALUES (?, ?, ?)", rows)
            database.executemany("DELETE FROM entries_1 WHERE path = ?", [(os.fsencode(path),) for path in removed])
    except sqlite3.OperationalError:  # another process writes it, or the folder is read-only: it is only a cache
        return
    except sqlite3.Error:
        _discard(file)


def _is_ours(file: Path) -> bool:
    """Whether it is a regular file that holds our table and nothing else, no trigger and no view."""
    try:
        if file.is_symlink() or not file.is_file() or file.stat().st_size > MAX_BYTES:
            return False
        with contextlib.closing(_open(file, "ro")) as database:
            return _has_table(database)
    except sqlite3.OperationalError as error:
        return "locked" in str(error)
    except (OSError, sqlite3.Error):
        return False


def _has_table(database: sqlite3.Connection) -> bool:
    schema = database.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
    return schema == [(_TABLE,)]


def _open(file: Path, mode: str) -> sqlite3.Connection:
    address = f"file:{quote(os.fsencode(file.absolute()))}?mode={mode}"
    database = sqlite3.connect(address, uri=True, timeout=LOCK_S, isolation_level=None)
    database.execute("PRAGMA trusted_schema = OFF")
    database.execute("PRAGMA synchronous = OFF")  # what a crash of the machine damages is made again
    return database


def _discard(file: Path) -> None:
    with contextlib.suppress(OSError):
        file.unlink()
