"""Which seeded bugs an answer shows: those without which the same requests would have been answered otherwise.

Beside the shop with all of its bugs stands, for each bug, one without that bug alone, and every request is put to
all of them. So a bug that does its harm in one request and shows in a later one is named where it shows.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING

from rl_eval.domains.qase.service.shop import Answer, Shop, stocked

if TYPE_CHECKING:
    from fastapi import Request, Response


class Shops:
    """The shop that answers, and for each of its bugs one that lacks it.

    Args:
        bugs: those of the shop.
        compare: whether anyone may ask which bugs an answer shows.
    """

    def __init__(self, bugs: frozenset[str], compare: bool):
        self.bugs, self.compare = bugs, compare
        self.reset()

    def reset(self) -> None:
        """As if nothing had ever been asked."""
        self.shop = stocked(self.bugs)
        self.without = {bug: stocked(self.bugs - {bug}) for bug in sorted(self.bugs)} if self.compare else {}

    def ask(self, question: Callable[[Shop], Answer]) -> tuple[Answer, list[str]]:
        """The answer, and the bugs that it shows."""
        found = question(self.shop)
        return found, [bug for bug, shop in self.without.items() if question(shop) != found]


def answer(request: Request, question: Callable[[Shop], Answer]) -> Response:
    """Ask the shops of this application; the bugs shown are left in `request.scope["bugs"]`."""
    from fastapi import Response

    found, request.scope["bugs"] = request.app.state.shops.ask(question)
    if found.body is None:
        return Response(status_code=found.status)
    return Response(json.dumps(found.body).encode(), found.status, media_type="application/json")


def token_of(request: Request) -> str:
    """The token of `Authorization: Bearer …`; empty where there is none."""
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if kind.lower() == "bearer" else ""
