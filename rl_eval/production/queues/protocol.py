"""`Queue`: what each queue does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from rl_eval.errors import InputError


class QueueError(InputError):
    """The queue cannot be used at the moment."""


def missing(what: str) -> QueueError:
    """The error of a queue that is not there, for who does not create it."""
    return QueueError(f"{what}: serve and collect create the queue, so start one of them")


class QueueFullError(QueueError):
    """More waits already than may."""


@dataclass(frozen=True, slots=True)
class Message:
    """A message that was taken.

    Attributes:
        token: what the queue knows it by.
    """

    token: Any
    body: bytes


class Queue(Protocol):
    """A queue; one thread at a time uses an object.

    Attributes:
        is_quick: whether `put` takes a fraction of a millisecond, so that an event loop may wait for it.
    """

    is_quick: bool

    def put(self, messages: Sequence[bytes]) -> None:
        """Add messages; they outlive the end of this process when it returns.

        Raises:
            QueueError: it is away or full; some of the messages may be there nevertheless.
        """

    def take(self, limit: int, wait_s: float) -> list[Message]:
        """At most `limit` messages, the oldest first; empty where none came in time.

        Raises:
            QueueError: it is away.
        """

    def acknowledge(self, messages: Sequence[Message]) -> None:
        """Remove messages that this object has taken.

        Raises:
            QueueError: it is away, and they will be taken again.
        """

    def waiting(self) -> tuple[int, float | None]:
        """How many messages are not acknowledged, and when the oldest of them was put in, where that is known.

        Raises:
            QueueError: it is away.
        """

    def sync(self) -> None:
        """Wait until what was put in outlives a power failure, as far as that is ours to do."""

    def remove_old(self, before: float) -> int:
        """Remove messages put in before a time, and what is left of acknowledged ones in files; returns how many."""

    def close(self) -> None:
        """Let go of it; messages that were taken and not acknowledged come again."""
