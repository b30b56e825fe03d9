"""`Store`: decisions, rewards, experience, trainings and documents."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import insert, select

from rl_eval.errors import InputError
from rl_eval.production.store import documents, tables
from rl_eval.production.store.database import Database
from rl_eval.production.store.documents import Document

ROLLOUT = "rollout"  # the document of the roll-out


class Store:
    """The store; any number of processes and threads may have it open.

    Args:
        address: `sqlite:///FILE` or `postgresql://HOST/NAME`.
        folder: where a relative file of SQLite lies.

    Raises:
        InputError: it cannot be opened, or is of another version of this program.
    """

    def __init__(self, address: str, folder: Path = Path()):
        self.database = Database(address, folder)
        try:
            self.database.create(tables.metadata)
            with self.database.writing() as connection:
                row = connection.execute(select(tables.meta.c.value).where(tables.meta.c.key == "schema")).first()
                if row is None:
                    connection.execute(insert(tables.meta).values(key="schema", value=tables.SCHEMA))
                elif row[0] != tables.SCHEMA:
                    raise InputError(f"{self.database.label} is of another version of this program: name another store")
        except BaseException:
            self.close()
            raise

    def document(self, name: str = ROLLOUT) -> Document:
        """A document; number 0 and no body where it was never written.

        Raises:
            UnavailableError: the store is away.
        """
        with self.database.reading() as connection:
            return documents.read(connection, name)

    def swap_document(self, number: int, body: dict[str, Any], name: str = ROLLOUT) -> bool:
        """Write a document if it still has the number that was read; False where somebody else was first.

        Raises:
            UnavailableError: the store is away.
        """
        with self.database.writing() as connection:
            return documents.swap(connection, name, number, body)

    def close(self) -> None:
        """Close all connections."""
        self.database.close()
