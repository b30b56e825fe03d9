"""Small documents that several processes read and change, such as the state of a roll-out: compare and swap."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, insert, select, update

from rl_eval.errors import InputError
from rl_eval.production.store.tables import documents

MAX_BODY = 1 << 20  # characters


@dataclass(frozen=True)
class Document:
    """A document as it was read.

    Attributes:
        number: how often it was written; 0: never, and then the body is empty.
    """

    number: int
    body: dict[str, Any]


def read(connection: Connection, name: str) -> Document:
    """A document; number 0 where there is none."""
    row = connection.execute(select(documents.c.number, documents.c.body).where(documents.c.name == name)).first()
    return Document(0, {}) if row is None else Document(int(row[0]), json.loads(row[1]))


def swap(connection: Connection, name: str, number: int, body: Mapping[str, Any]) -> bool:
    """Write a document if it is still the one that was read; inside a transaction that writes.

    Args:
        number: of what was read.
        body: JSON values.

    Returns:
        Whether it was written; False where somebody else has written it since.
    """
    text = json.dumps(dict(body), sort_keys=True, allow_nan=False)
    if len(text) > MAX_BODY:
        raise InputError(f"{name} has {len(text):,} characters: a document has at most {MAX_BODY:,}")
    row = connection.execute(select(documents.c.number).where(documents.c.name == name)).first()
    if (0 if row is None else int(row[0])) != number:
        return False
    if row is None:
        connection.execute(insert(documents).values(name=name, number=1, body=text))
    else:
        connection.execute(update(documents).where(documents.c.name == name).values(number=number + 1, body=text))
    return True
