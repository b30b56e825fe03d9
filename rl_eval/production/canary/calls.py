"""How often each version decided, failed and was slow, as the servers count it: one document of the store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import zip_longest
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
        server: a name of only this process, new with every start.
        calls: version, as decisions name it -> its counts.

    Returns:
        Whether they were written; False where too many write at once, and the next call has them.

    Raises:
        UnavailableError: the store is away.
    """
    return report(store, DOCUMENT, server, {name: [one.count, one.failed, one.slow] for name, one in calls.items()})


def report(store: Documents, name: str, server: str, sums: Mapping[str, Sequence[float]]) -> bool:
    """The same of any sums, in a document of their own."""
    for _ in range(_TRIES):
        document = store.document(name)
        body = dict(document.body)
        body.pop(server, None)
        body[server] = sums  # the newest last
        while len(body) > _MOST_SERVERS:
            oldest = next(other for other in body if other not in (_EARLIER, server))
            body = {_EARLIER: _sum(body.get(_EARLIER, {}), body.pop(oldest)), **_without(body, _EARLIER)}
        if store.swap_document(document.number, body, name):
            return True
    return False


def read_calls(store: Documents) -> dict[str, Calls]:
    """Version -> the counts of all servers together.

    Raises:
        UnavailableError: the store is away.
    """
    return {version: Calls(*counts) for version, counts in read_reports(store, DOCUMENT).items()}


def read_reports(store: Documents, name: str) -> dict[str, Any]:
    """The sums of all servers together; raises as `read_calls`."""
    total: dict[str, Any] = {}
    for sums in store.document(name).body.values():
        total = _sum(total, sums)
    return total


def _sum(first: Mapping[str, Sequence[float]], second: Mapping[str, Sequence[float]]) -> dict[str, list[float]]:
    pairs = {name: (first.get(name, ()), second.get(name, ())) for name in {**first, **second}}
    return {name: [a + b for a, b in zip_longest(*pair, fillvalue=0)] for name, pair in pairs.items()}


def _without(body: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in body.items() if key != name}
