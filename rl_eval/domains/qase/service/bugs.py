"""The seeded bugs of the service. Each can be switched on separately; without bugs the service is correct."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from rl_eval.errors import InputError, nearest


class Bug(NamedTuple):
    """One seeded bug.

    Attributes:
        id: `B01`, `B02`, …
        component: the part of the service with the bug; also the title of a suite of its cases.
        wrong: the wrong behaviour.
        symptom: how a test detects it.
    """

    id: str
    name: str
    component: str
    wrong: str
    symptom: str


# fmt: off
BUGS = (
    Bug("B01", "email-case", "Users", "an e-mail address is taken twice if its capitals differ",
        "`POST /users` with `ANN@…` answers 201 where 409 is right"),
    Bug("B02", "short-password", "Users", "a password of fewer than 8 characters is taken",
        "`POST /users` answers 201 where 400 is right"),
    Bug("B03", "password-shown", "Users", "answers about an account hold its password",
        "`body.password` exists"),
    Bug("B04", "no-lockout", "Login", "wrong passwords never lock an account",
        "the fourth `POST /login` answers 200 or 401 where 423 is right"),
    Bug("B05", "logout-keeps-token", "Login", "a token goes on working after logout",
        "`GET /me` answers 200 where 401 is right"),
    Bug("B06", "foreign-account", "Permissions", "anyone who is logged in reads any account",
        "`GET /users/3` as user 2 answers 200 where 403 is right"),
    Bug("B07", "foreign-order", "Permissions", "anyone who is logged in reads any order",
        "`GET /orders/1` as another user answers 200 where 403 is right"),
    Bug("B08", "page-loses-last", "Products", "a full page of products lacks its last one",
        "a page of size 5 has 4 items"),
    Bug("B09", "price-sorted-as-text", "Products", "products are sorted by the digits of their price",
        "11900 stands before 120"),
    Bug("B10", "stale-price", "Products", "a product goes on showing the price it had before a change",
        "`GET /products/1` after `PATCH /products/1` has the old price"),
    Bug("B11", "search-case", "Search", "search finds words only with the same capitals",
        "`GET /search?q=kettle` finds nothing"),
    Bug("B12", "search-limit", "Search", "a highest price leaves out what costs exactly that",
        "`GET /search?max_price=120` finds nothing"),
    Bug("B13", "stars-range", "Reviews", "reviews of 0 and of 6 stars are taken",
        "`POST /products/{id}/reviews` answers 201 where 400 is right"),
    Bug("B14", "rating-keeps-deleted", "Reviews", "a deleted review goes on counting in the rating",
        "`body.rating` after `DELETE /reviews/{id}` is the old one"),
    Bug("B15", "cart-replaces", "Cart", "adding a product that is in the cart replaces its quantity",
        "2 and 3 make 3"),
    Bug("B16", "cart-negative", "Cart", "quantities of 0 and below are taken",
        "`POST /cart/items` answers 201 where 400 is right"),
    Bug("B17", "coupon-expired", "Coupons", "a coupon that has expired is taken",
        "`POST /cart/coupon` answers 200 where 410 is right"),
    Bug("B18", "coupon-twice", "Coupons", "an order takes a coupon's discount off twice",
        "`body.total` of the order is below that of the cart"),
    Bug("B19", "stock-not-reduced", "Orders", "an order leaves the stock as it was",
        "`body.stock` of the product after `POST /orders`"),
    Bug("B20", "cancel-keeps-stock", "Orders", "a cancelled order does not give its stock back",
        "`body.stock` of the product after `POST /orders/{id}/cancel`"),
    Bug("B21", "paid-twice", "Payments", "an order can be paid twice",
        "the second `POST /orders/{id}/payments` answers 201 where 409 is right"),
    Bug("B22", "declined-is-paid", "Payments", "an order whose card was declined counts as paid",
        "`body.status` of the order is `paid` after a 402"),
    Bug("B23", "report-counts-unpaid", "Reports", "the sales report counts orders that nobody has paid",
        "`body.revenue` is too high"),
    Bug("B24", "report-open", "Reports", "anyone who is logged in reads the reports",
        "`GET /admin/reports/sales` as a customer answers 200 where 403 is right"),
)
# fmt: on
BUG_IDS = tuple(bug.id for bug in BUGS)


def check_bug_ids(ids: Iterable[str]) -> frozenset[str]:
    """A set of bug ids.

    Raises:
        InputError: an unknown id.
    """
    bugs = frozenset(ids)
    for name in sorted(bugs - set(BUG_IDS)):
        raise InputError(
            f"there is no seeded bug {name!r}: {nearest(name, BUG_IDS)}they are {BUG_IDS[0]} to {BUG_IDS[-1]}"
        )
    return bugs
