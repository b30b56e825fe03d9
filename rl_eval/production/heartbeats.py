"""Which processes are alive: each writes a sign of life into the store every few seconds.

The times are those of the store's clock, also where they are read, so the clocks of the processes do not matter. Where
that clock jumps, each process that is alive is seen to be at its next sign, and a sign of a time to come counts as old.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from rl_eval.production.store import Store

Kind = Literal["loop", "server", "collector"]
KINDS: tuple[Kind, ...] = ("loop", "server", "collector")
DOCUMENT = "heartbeats"
BEAT_S = 5.0
GONE_S = 60.0  # after which a process without a sign of life counts as gone


@dataclass(frozen=True)
class Alive:
    """The processes of a kind.

    Attributes:
        count: how many are alive.
        age: seconds since the latest sign of life; None: there was none since the store began.
    """

    count: int = 0
    age: float | None = None


class Heartbeat:
    """The signs of life of this process, in one of its roles.

    Args:
        store: that every other process sees.
        kind: the role.
    """

    def __init__(self, store: Store, kind: Kind):
        self._store, self._kind = store, kind
        self._name = secrets.token_hex(8)
        self._written = float("-inf")

    def beat(self) -> bool:
        """Say that this process works, every few seconds, however often it is called; returns whether it did.

        Raises:
            UnavailableError: the store is away.
        """
        elapsed = time.monotonic()
        if elapsed - self._written < BEAT_S:
            return False
        now, document = self._store.now(), self._store.document(DOCUMENT)
        signs = document.body.get(self._kind, {}).get("signs", {})
        alive = {name: at for name, at in signs.items() if abs(now - at) < GONE_S} | {self._name: now}
        body = {**document.body, self._kind: {"latest": now, "signs": alive}}
        if not self._store.swap_document(document.number, body, DOCUMENT):
            return False  # another process was first; the next call is soon
        self._written = elapsed
        return True


def read_alive(store: Store) -> Mapping[Kind, Alive]:
    """Who is alive, for each kind.

    Raises:
        UnavailableError: the store is away.
    """
    body, now = store.document(DOCUMENT).body, store.now()
    return {kind: _alive(body[kind], now) if kind in body else Alive() for kind in KINDS}


def _alive(signs: Mapping[str, Any], now: float) -> Alive:
    count = sum(abs(now - at) < GONE_S for at in signs["signs"].values())
    return Alive(count, abs(now - signs["latest"]))
