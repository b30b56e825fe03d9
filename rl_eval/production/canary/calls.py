"""How often each version decided, failed and was slow, as the servers count it: one document of the store."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from rl_eval.production.canary.evidence import Calls
from rl_eval.production.store import Document

DOCUMENT = "calls"
_MOST_SERVERS = 64
_EARLIER = "earlier"  # servers that are gone, together
_TRIES = 10


class Documents(Protocol):
    """The part of the store that is used here."""

    def document(self, name: str = ...) -> Document:
        """See `Store`."""

    def swap_document(self, number: int, body: dict[str, Any], name: str = ...) -> bool:
        """See `Store`."""


def report_calls(store: Documents, server: str, calls: Mapping[str, Calls]) -> bool:
    """Write the counts of one server since it started; a server calls this every second or so.

    Args:
        server: a name of this process alone, new with every start.
        calls: version, as decisions name it -> its counts.

    Returns:
        Whether they were written; False where too many write at once, and the next call has them.

    Raises:
        UnavailableError: the store is away.
    """
    mine = {version: [part.count, part.failed, part.slow] for version, part in calls.items()}
    for _ in range(_TRIES):
        document = store.document(DOCUMENT)
        body = dict(document.body)
        body.pop(server, None)
        body[server] = mine  # the newest last
        while len(body) > _MOST_SERVERS:
            oldest = next(name for name in body if name not in (_EARLIER, server))
            body = {_EARLIER: _sum(body.get(_EARLIER, {}), body.pop(oldest)), **_without(body, _EARLIER)}
        if store.swap_document(document.number, body, DOCUMENT):
            return True
    return False


def read_calls(store: Documents) -> dict[str, Calls]:
    """Version -> the counts of all servers together.

    Raises:
        UnavailableError: the store is away.
    """
    total: dict[str, Any] = {}
    for counts in store.document(DOCUMENT).body.values():
        total = _sum(total, counts)
    return {version: Calls(*counts) for version, counts in total.items()}


def _sum(first: Mapping[str, list[int]], second: Mapping[str, list[int]]) -> dict[str, list[int]]:
    nothing = [0, 0, 0]
    pairs = {name: (first.get(name, nothing), second.get(name, nothing)) for name in {**first, **second}}
    return {name: [a + b for a, b in zip(*pair, strict=True)] for name, pair in pairs.items()}


def _without(body: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in body.items() if key != name}
