"""Which seeded bugs an answer shows: those without which the same requests would have been answered otherwise.

Beside the shop with all of its bugs stands, for each bug, one without that bug alone, and every request is put to
all of them. So a bug that does its harm in one request and shows in a later one is named where it shows.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING

from rl_eval.domains.qase.service.shop import Shop, ShopResponse, new_shop

if TYPE_CHECKING:
    from fastapi import Request, Response


class ComparedShops:
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
        self.shop = new_shop(self.bugs)
        self.without = {bug: new_shop(self.bugs - {bug}) for bug in sorted(self.bugs)} if self.compare else {}

    def apply(self, operation: Callable[[Shop], ShopResponse]) -> tuple[ShopResponse, list[str]]:
        """The answer, and the bugs that it shows."""
        found = operation(self.shop)
        return found, [bug for bug, shop in self.without.items() if operation(shop) != found]


def respond(request: Request, operation: Callable[[Shop], ShopResponse]) -> Response:
    """Ask the shops of this application; the bugs shown are left in `request.scope["bugs"]`."""
    from fastapi import Response

    found, request.scope["bugs"] = request.app.state.shops.apply(operation)
    if found.body is None:
        return Response(status_code=found.status)
    return Response(json.dumps(found.body).encode(), found.status, media_type="application/json")


def token_of(request: Request) -> str:
    """The token of `Authorization: Bearer …`; empty where there is none."""
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if kind.lower() == "bearer" else ""
