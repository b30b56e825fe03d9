"""Rows of the store, checked as they are read: a file that a person or a crash has changed is damaged, not a fault."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import UnionType
from typing import Any, NamedTuple

from rl_eval.serving.bodies import LARGEST, RefusedError


class DamagedStoreError(RefusedError):
    """The store holds what this program does not write."""

    def __init__(self, damage: str):
        super().__init__(503, f"the server's folder is damaged ({damage}): put a copy back, or name another --folder")


class Decision(NamedTuple):
    """One decision as it is stored; arrays as bytes."""

    version: str | None
    unit: str | None
    observation: bytes  # float32 [D]
    mask: bytes | None  # bool [A]
    action: bytes  # int64 [1] from 0, or float32 [A] as drawn
    log_prob: float | None
    value: float | None
    confidence: float | None
    greedy: bool


class Experience(NamedTuple):
    """What followed a decision."""

    reward: float
    terminated: bool
    truncated: bool
    next_observation: bytes | None
    next_mask: bytes | None


@dataclass(frozen=True)
class StoredTransition:
    """A decision with what followed it. `next_observation` is that of the unit's next decision where none was given."""

    seq: int
    decision: Decision
    experience: Experience


_Type = type | UnionType
_TYPES: dict[str, _Type] = {
    "version": str | None, "unit": str | None, "observation": bytes, "mask": bytes | None, "action": bytes,
    "log_prob": float | None, "value": float | None, "confidence": float | None, "greedy": int,
    "reward": float, "terminated": int, "truncated": int, "next_observation": bytes | None, "next_mask": bytes | None,
}  # fmt: skip


def decision(seq: int, row: Sequence[Any]) -> Decision:
    """A decision from its columns.

    Raises:
        DamagedStoreError: a column is of another type.
    """
    read = Decision(*row)
    _require_types(read, f"decision {seq}")
    return read._replace(greedy=bool(read.greedy))


def experience(seq: int, row: Sequence[Any]) -> Experience:
    """An experience from its columns.

    Raises:
        DamagedStoreError: a column is of another type, or the reward is not an accepted one.
    """
    read = Experience(*row)
    _require_types(read, f"the experience of decision {seq}")
    if not abs(read.reward) <= LARGEST:
        raise DamagedStoreError(f"reward of the experience of decision {seq} is {read.reward}")
    return read._replace(terminated=bool(read.terminated), truncated=bool(read.truncated))


def whole_number(value: Any, name: str) -> int:
    """A count from 0 on.

    Args:
        value: a number, or its digits.

    Raises:
        DamagedStoreError: it is something else, or so large that nothing could follow it.
    """
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 18:
        return int(value)
    if isinstance(value, int) and 0 <= value < 10**18:
        return value
    raise DamagedStoreError(f"{name} is {str(value)[:40]!r}, not a whole number")


def _require_types(read: Decision | Experience, row: str) -> None:
    for name, value in zip(read._fields, read, strict=True):
        if not isinstance(value, _TYPES[name]):
            raise DamagedStoreError(f"{name} of {row} has the wrong type")
