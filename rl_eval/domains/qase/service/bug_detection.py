"""Detect which seeded bugs a response shows: those without which the response would be different.

For each bug there is a second shop without that bug, and every request goes to all shops. So a bug that acts in one
request and is visible only in a later one is reported for the later one.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING

from rl_eval.domains.qase.service.shop import Shop, ShopResponse, new_shop

if TYPE_CHECKING:
    from fastapi import Request, Response


class ComparedShops:
    """The shop that answers requests, and for each of its bugs a shop without it.

    Args:
        bugs: bugs of the shop.
        compare: whether to detect which bugs a response shows.
    """

    def __init__(self, bugs: frozenset[str], compare: bool):
        self.bugs, self.compare = bugs, compare
        self.reset()

    def reset(self) -> None:
        """Restore the initial state of all shops."""
        self.shop = new_shop(self.bugs)
        self.without = {bug: new_shop(self.bugs - {bug}) for bug in sorted(self.bugs)} if self.compare else {}

    def apply(self, operation: Callable[[Shop], ShopResponse]) -> tuple[ShopResponse, list[str]]:
        """The response to an operation, and the bugs that it shows."""
        response = operation(self.shop)
        return response, [bug for bug, shop in self.without.items() if operation(shop) != response]


def respond(request: Request, operation: Callable[[Shop], ShopResponse]) -> Response:
    """Apply an operation to the shops; the bugs that the response shows go to `request.scope["bugs"]`."""
    from fastapi import Response

    response, request.scope["bugs"] = request.app.state.shops.apply(operation)
    if response.body is None:
        return Response(status_code=response.status)
    return Response(json.dumps(response.body).encode(), response.status, media_type="application/json")
