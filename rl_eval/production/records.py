"""`LoggedDecision` and `LoggedReward`: what is collected, and their bytes in a queue.

A message is a JSON array of records in a canonical form: sorted keys, no spaces, arrays in base64. It can be read by
any consumer of a topic, and reading it runs nothing.
"""

from __future__ import annotations

import binascii
import json
import math
from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rl_eval.errors import InputError

MAX_MESSAGE = 16 << 20  # bytes
MAX_ARRAY = 8 << 20  # bytes
MAX_TEXT = 200  # characters of an id, a version or a pseudonym
MAX_TIME = 1e11  # seconds since 1970
LARGEST = 1e300  # of a number


@dataclass(frozen=True, slots=True)
class LoggedDecision:
    """A decision as it was made.

    Attributes:
        at: seconds since 1970, by the server's clock.
        unit: the pseudonym of who was decided about.
        version: of the policy that decided.
        observation: float32 `[D]`, as the policy got it.
        mask: bool `[A]`, which actions were legal; None: all.
        action: int64 `[1]` from 0, or float32 `[A]` as drawn.
        propensity: with which probability, or density, the action was chosen then; None where the policy does not say.
        confidence: the probability of the most likely action.
        value: what the policy expected, discounted.
        shadow: whether nobody acted on it.
    """

    decision_id: str
    at: float
    unit: str | None
    version: str
    observation: bytes
    mask: bytes | None
    action: bytes
    propensity: float | None
    confidence: float | None
    value: float | None
    shadow: bool = False


@dataclass(frozen=True, slots=True)
class LoggedReward:
    """What followed a decision.

    Attributes:
        at: seconds since 1970, when the server got it.
        next_observation: float32 `[D]`; None after the end of an episode, or where the unit's next decision has it.
        next_mask: bool `[A]`.
    """

    decision_id: str
    reward: float
    at: float
    terminated: bool
    truncated: bool
    next_observation: bytes | None = None
    next_mask: bytes | None = None


Record = LoggedDecision | LoggedReward


class MessageError(InputError):
    """A message that is not one of ours, or damaged."""


def encode(records: Sequence[Record]) -> bytes:
    """A message of records; the same records have the same bytes.

    Raises:
        MessageError: they have more than 16 MiB, or a number that is not finite.
    """
    try:
        text = json.dumps([_values(record) for record in records], separators=(",", ":"), allow_nan=False)
    except ValueError as error:
        raise MessageError("a record has a number that is not finite: it is not sent") from error
    if len(text) > MAX_MESSAGE:
        raise MessageError(f"a message has at most {MAX_MESSAGE >> 20} MiB: send fewer records at once")
    return text.encode()


def _text(content: bytes | None) -> str | None:
    return None if content is None else b64encode(content).decode()


def _values(record: Record) -> dict[str, Any]:
    # The keys in their alphabetical order, which `json` keeps.
    if isinstance(record, LoggedDecision):
        return {
            "action": _text(record.action), "at": record.at, "confidence": record.confidence,
            "id": record.decision_id, "mask": _text(record.mask), "observation": _text(record.observation),
            "propensity": record.propensity, "shadow": record.shadow, "unit": record.unit, "value": record.value,
            "version": record.version,
        }  # fmt: skip
    return {
        "at": record.at, "id": record.decision_id, "next_mask": _text(record.next_mask),
        "next_observation": _text(record.next_observation), "reward": record.reward,
        "terminated": record.terminated, "truncated": record.truncated,
    }  # fmt: skip


def decode(message: bytes) -> list[Record]:
    """The records of a message.

    Raises:
        MessageError: it is not one of ours.
    """
    if len(message) > MAX_MESSAGE:
        raise MessageError(f"a message of {len(message):,} bytes: there are at most {MAX_MESSAGE:,}")
    try:
        values = json.loads(message, parse_constant=_no_constant)
        if not isinstance(values, list):
            raise ValueError("no list")
        return [_record(value) for value in values]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise MessageError(
            f"a message of {len(message):,} bytes is not a message of this program ({type(error).__name__})"
        ) from error


def _no_constant(name: str) -> Any:
    raise ValueError(name)


def _record(value: Any) -> Record:
    if "observation" in value:
        if len(value) != 11:
            raise ValueError("keys")
        observation, action = _bytes(value["observation"]), _bytes(value["action"])
        if observation is None or action is None:
            raise ValueError("a decision without observation or action")
        return LoggedDecision(
            _name(value["id"]), _number(value["at"], MAX_TIME), _name_or_none(value["unit"]), _name(value["version"]),
            observation, _bytes(value["mask"]), action, _number_or_none(value["propensity"]),
            _number_or_none(value["confidence"]), _number_or_none(value["value"]), _flag(value["shadow"]),
        )  # fmt: skip
    if len(value) != 7:
        raise ValueError("keys")
    return LoggedReward(
        _name(value["id"]), _number(value["reward"]), _number(value["at"], MAX_TIME), _flag(value["terminated"]),
        _flag(value["truncated"]), _bytes(value["next_observation"]), _bytes(value["next_mask"]),
    )  # fmt: skip


def _bytes(value: Any) -> bytes | None:
    if value is None:
        return None
    if not isinstance(value, str) or len(value) > 2 * MAX_ARRAY:
        raise ValueError("an array")
    try:
        return b64decode(value, validate=True)
    except binascii.Error as error:
        raise ValueError("an array") from error


def _name(value: Any) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= MAX_TEXT or not value.isascii() or not value.isprintable():
        raise ValueError("a name")
    return value


def _name_or_none(value: Any) -> str | None:
    return None if value is None else _name(value)


def _number(value: Any, largest: float = LARGEST) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("a number")
    if not abs(value) <= largest or not math.isfinite(value):
        raise ValueError("a number")
    return float(value)


def _number_or_none(value: Any) -> float | None:
    return None if value is None else _number(value)


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("a flag")
    return value
