"""Which servers decide without recording, as they report it to the store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rl_eval.production.store import Store

DOCUMENT = "not_recorded"
STALE_S = 60.0  # after which a server that does not report again has ended


@dataclass(frozen=True)
class NotRecording:
    """A server whose records cannot be put into the queue.

    Attributes:
        since: seconds since 1970.
        reason: a sentence of the queue.
    """

    server: str
    since: float
    reason: str


def report_recording(store: Store, server: str, now: float, failing: str, since: float) -> None:
    """Report whether a server records, every few seconds; it writes only while a server does not.

    Args:
        server: a name of only this process.
        failing: why its latest records were not kept; empty where they were.
        since: when that began.

    Raises:
        UnavailableError: the store is away.
    """
    document = store.document(DOCUMENT)
    body = {name: row for name, row in document.body.items() if name != server and now - row["at"] < STALE_S}
    if failing:
        body[server] = {"at": now, "since": since, "reason": failing}
    if body != document.body:
        store.swap_document(document.number, body, DOCUMENT)


def read_not_recording(store: Store, now: float) -> Sequence[NotRecording]:
    """The servers that reported it within the last minute, the first to fail first.

    Raises:
        UnavailableError: the store is away.
    """
    rows = store.document(DOCUMENT).body
    found = [NotRecording(name, row["since"], row["reason"]) for name, row in rows.items() if now - row["at"] < STALE_S]
    return sorted(found, key=lambda one: one.since)
