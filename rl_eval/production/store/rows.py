"""Rows of the store as records, and what the store answers with."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from rl_eval.production.records import LoggedDecision, LoggedReward

AT_ONCE = 500  # ids in one statement
Item = TypeVar("Item")

DECISION = (
    "decision_id", "at", "unit", "version", "observation", "mask", "action", "propensity", "confidence", "value",
    "shadow",
)  # fmt: skip
REWARD = ("decision_id", "reward", "at", "terminated", "truncated", "next_observation", "next_mask")


@dataclass(frozen=True, slots=True)
class Pair:
    """A decision and what followed it."""

    decision: LoggedDecision
    reward: LoggedReward


@dataclass(frozen=True, slots=True)
class Experience:
    """Accepted experience; `seq` grows in the order of acceptance."""

    seq: int
    decision: LoggedDecision
    reward: LoggedReward


@dataclass(frozen=True, slots=True)
class Outcome:
    """A decision without its arrays, and its reward where it has come."""

    decision_id: str
    at: float
    unit: str | None
    version: str
    shadow: bool
    propensity: float | None
    confidence: float | None
    reward: float | None


def decision_of(row: Sequence[Any]) -> LoggedDecision:
    """A decision from its columns, in the order of `DECISION`."""
    decision_id, at, unit, version, observation, mask, action, propensity, confidence, value, shadow = row
    return LoggedDecision(
        decision_id, at, unit, version, bytes(observation), _bytes(mask), bytes(action), propensity, confidence, value,
        bool(shadow),
    )  # fmt: skip


def reward_of(row: Sequence[Any]) -> LoggedReward:
    """What followed, from its columns in the order of `REWARD`."""
    decision_id, reward, at, terminated, truncated, next_observation, next_mask = row
    return LoggedReward(
        decision_id, reward, at, bool(terminated), bool(truncated), _bytes(next_observation), _bytes(next_mask)
    )


def _bytes(value: Any) -> bytes | None:
    return None if value is None else bytes(value)


def values_of(record: LoggedDecision | LoggedReward, received: float) -> dict[str, Any]:
    """The columns of a record."""
    names = DECISION if isinstance(record, LoggedDecision) else REWARD
    return {"received": received, **{name: getattr(record, name) for name in names}}


def chunks(items: Iterable[Item], size: int = AT_ONCE) -> Iterator[list[Item]]:
    """Lists of at most `size` items."""
    rest = list(items)
    for start in range(0, len(rest), size):
        yield rest[start : start + size]
