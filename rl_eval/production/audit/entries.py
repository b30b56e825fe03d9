"""Lines of the audit log: JSON with a number, the hash of the line before, and a hash of its own."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MAX_LINE = 64 << 10  # bytes
FIRST = "0" * 64  # the hash before the first line
_KEYS = {"actor", "at", "event", "facts", "hash", "number", "previous"}


@dataclass(frozen=True)
class Entry:
    """One line, as it was read and checked in itself.

    Attributes:
        number: from 1.
        at: UTC, ISO 8601, by the clock of the writer.
        actor: who did it: a command, a process or a person.
        event: what happened, one word.
        previous, hash: of the line before, and of this one; hexadecimal SHA-256.
    """

    number: int
    at: str
    actor: str
    event: str
    facts: Mapping[str, Any]
    previous: str
    hash: str


def line_of(number: int, previous: str, at: str, actor: str, event: str, facts: Mapping[str, Any]) -> bytes:
    """The bytes of a line, with its newline.

    Raises:
        ValueError: it is too long, or the facts are not JSON.
    """
    values = {"actor": actor, "at": at, "event": event, "facts": _finite(facts), "number": number, "previous": previous}
    line = _json({**values, "hash": _hash(values)}) + b"\n"
    if len(line) > MAX_LINE:
        raise ValueError(f"a line of {len(line):,} bytes: at most {MAX_LINE:,} are allowed")
    return line


def parse(line: bytes) -> Entry:
    """A line, its hash checked.

    Raises:
        ValueError: it is not a line of ours, or was changed.
    """
    if not line.endswith(b"\n"):
        raise ValueError("it is cut off")
    try:
        values = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ValueError("it is not JSON") from error
    if not isinstance(values, dict) or set(values) != _KEYS or type(values["number"]) is not int:
        raise ValueError("it is not a line of an audit log")
    recorded = values.pop("hash")
    try:
        canonical = _json({**values, "hash": recorded}) + b"\n"
    except ValueError as error:
        raise ValueError("it is not a line of an audit log") from error
    # Other bytes with the same values count as changed too.
    if canonical != line or recorded != _hash(values):
        raise ValueError("it was changed: its hash differs")
    return Entry(hash=recorded, **values)


def _json(values: Mapping[str, Any]) -> bytes:
    return json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode()


def _hash(values: Mapping[str, Any]) -> str:
    return hashlib.sha256(_json(values)).hexdigest()


def _finite(value: Any) -> Any:
    """JSON has no NaN and no infinities: null stands for them."""
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
