"""The shop's database: one SQLite database in memory per copy, restored from a snapshot."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from functools import cache
from typing import Any

from rl_eval.domains.webtest.shop.products import products

# The log-in that exists from the start; the valid values of the typed pools of `env=webtest` are the same.
EMAIL, PASSWORD = "tester@example.com", "Passw0rd!2"
_SCHEMA = """
CREATE TABLE product (id INTEGER PRIMARY KEY, name TEXT, category TEXT, price INTEGER, stock INTEGER);
CREATE TABLE account (id INTEGER PRIMARY KEY, email TEXT UNIQUE, password TEXT, name TEXT, staff INTEGER);
CREATE TABLE session (id INTEGER PRIMARY KEY, token TEXT UNIQUE, data TEXT);
CREATE TABLE review (id INTEGER PRIMARY KEY, product INTEGER, author TEXT, stars INTEGER, text TEXT);
CREATE TABLE orders (
    id INTEGER PRIMARY KEY, account INTEGER, address TEXT, delivery TEXT, payment TEXT, coupon TEXT, lines TEXT,
    status TEXT
);
CREATE TABLE message (id INTEGER PRIMARY KEY, email TEXT, topic TEXT, text TEXT);
"""


@cache
def pristine() -> bytes:
    """The database at the start of an episode, as SQLite serialises it."""
    db = sqlite3.connect(":memory:")
    db.executescript(_SCHEMA)
    db.executemany("INSERT INTO product VALUES (?, ?, ?, ?, ?)", products())
    db.executemany(
        "INSERT INTO account (email, password, name, staff) VALUES (?, ?, ?, ?)",
        [(EMAIL, PASSWORD, "Tina Tester", 1), ("ann@example.com", "kettle-and-cup", "Ann Archer", 0)],
    )
    reviews = [(1 + number % 6, "Ann Archer", 3 + number % 3, f"Bought it {number + 1} times.") for number in range(20)]
    db.executemany("INSERT INTO review (product, author, stars, text) VALUES (?, ?, ?, ?)", reviews)
    orders = [
        (1, "Tina Tester, 1 High Street, Leeds", "standard", "card", "", [[1, 1], [5, 2]], "delivered"),
        (1, "Tina Tester, 1 High Street, Leeds", "standard", "invoice", "", [[17, 1]], "sent"),
    ]
    db.executemany(
        "INSERT INTO orders (account, address, delivery, payment, coupon, lines, status) VALUES (?, ?, ?, ?, ?, ?, ?)",
        [(*row[:5], json.dumps(row[5]), row[6]) for row in orders],
    )
    db.commit()
    return db.serialize()


class Database:
    """One copy of the database."""

    def __init__(self) -> None:
        self._db = sqlite3.connect(":memory:", check_same_thread=False)
        self._db.row_factory = sqlite3.Row
        self.restore(pristine())

    def snapshot(self) -> bytes:
        """Everything in it."""
        return self._db.serialize()

    def restore(self, snapshot: bytes) -> None:
        """Return to a snapshot."""
        self._db.deserialize(snapshot)

    def rows(self, query: str, *values: Any) -> list[dict[str, Any]]:
        """The rows of a query."""
        return [dict(row) for row in self._db.execute(query, values)]

    def row(self, query: str, *values: Any) -> dict[str, Any] | None:
        """The first row of a query."""
        return next(iter(self.rows(query, *values)), None)

    def insert(self, table: str, **values: Any) -> int:
        """Add a row; its id."""
        marks = ", ".join("?" * len(values))
        cursor = self._db.execute(f"INSERT INTO {table} ({', '.join(values)}) VALUES ({marks})", tuple(values.values()))
        self._db.commit()
        assert cursor.lastrowid is not None
        return cursor.lastrowid

    def change(self, query: str, *values: Any) -> None:
        """Run a statement that changes rows."""
        self._db.execute(query, values)
        self._db.commit()

    def new_token(self) -> str:
        """The secret of the next session; the same in each episode, since all of the shop is deterministic."""
        count = self._db.execute("SELECT count(*) FROM session").fetchone()[0]
        return hashlib.sha256(f"session {count}".encode()).hexdigest()[:32]
