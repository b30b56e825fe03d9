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
        cases: ids of the cases of the embedded project that fail if the service has only this bug.
    """

    id: str
    name: str
    component: str
    wrong: str
    symptom: str
    cases: tuple[int, ...]


# fmt: off
BUGS = (
    Bug("B01", "email-case", "Users", "accepts an e-mail address again in other capital letters",
        "`POST /users` with `ANN@…` answers 201 instead of 409", (5, 7)),
    Bug("B02", "short-password", "Users", "accepts passwords of fewer than 8 characters",
        "`POST /users` answers 201 instead of 400", (8,)),
    Bug("B03", "password-shown", "Users", "responses about an account contain its password",
        "`body.password` exists", (3, 6)),
    Bug("B04", "no-lockout", "Login", "wrong passwords never lock an account",
        "the fourth `POST /login` answers 200 or 401 instead of 423", (16, 17)),
    Bug("B05", "logout-keeps-token", "Login", "a token still works after logout",
        "`GET /me` answers 200 instead of 401", (19, 20, 22)),
    Bug("B06", "foreign-account", "Permissions", "any user can read any account",
        "`GET /users/3` as user 2 answers 200 instead of 403", (25, 29)),
    Bug("B07", "foreign-order", "Permissions", "any user can read any order",
        "`GET /orders/1` as another user answers 200 instead of 403", (28, 29)),
    Bug("B08", "page-loses-last", "Products", "a full page of products lacks the last one",
        "a page of size 5 has 4 items", (33, 35)),
    Bug("B09", "price-sorted-as-text", "Products", "sorts products by the digits of their price",
        "11900 is before 120", (40, 46)),
    Bug("B10", "stale-price", "Products", "shows the old price of a product after a change",
        "`GET /products/1` after `PATCH /products/1` has the old price", (45, 46)),
    Bug("B11", "search-case", "Search", "finds words only with the same capital letters",
        "`GET /search?q=kettle` finds nothing", (53,)),
    Bug("B12", "search-limit", "Search", "a highest price excludes products that cost exactly that",
        "`GET /search?max_price=120` finds nothing", (57, 58, 60)),
    Bug("B13", "stars-range", "Reviews", "accepts reviews of 0 and of 6 stars",
        "`POST /products/{id}/reviews` answers 201 instead of 400", (65, 66)),
    Bug("B14", "rating-keeps-deleted", "Reviews", "a deleted review still counts in the rating",
        "`body.rating` after `DELETE /reviews/{id}` is the old one", (69, 70)),
    Bug("B15", "cart-replaces", "Cart", "adding a product again replaces its quantity in the cart",
        "2 and 3 make 3", (74, 75, 112)),
    Bug("B16", "cart-negative", "Cart", "accepts quantities of 0 and below",
        "`POST /cart/items` answers 201 instead of 400", (76, 77)),
    Bug("B17", "coupon-expired", "Coupons", "accepts an expired coupon",
        "`POST /cart/coupon` answers 200 instead of 410", (87, 88)),
    Bug("B18", "coupon-twice", "Coupons", "an order subtracts the discount of a coupon twice",
        "`body.total` of the order is below that of the cart", (83, 85, 112)),
    Bug("B19", "stock-not-reduced", "Orders", "an order does not reduce the stock",
        "`body.stock` of the product after `POST /orders`", (92, 95, 112, 121)),
    Bug("B20", "cancel-keeps-stock", "Orders", "a cancelled order does not give its stock back",
        "`body.stock` of the product after `POST /orders/{id}/cancel`", (96, 97)),
    Bug("B21", "paid-twice", "Payments", "an order can be paid twice",
        "the second `POST /orders/{id}/payments` answers 201 instead of 409", (103, 104)),
    Bug("B22", "declined-is-paid", "Payments", "an order counts as paid although its card was declined",
        "`body.status` of the order is `paid` after a 402", (106, 107, 116)),
    Bug("B23", "report-counts-unpaid", "Reports", "the sales report counts unpaid orders",
        "`body.revenue` is too high", (113, 115, 116)),
    Bug("B24", "report-open", "Reports", "any user can read the reports",
        "`GET /admin/reports/sales` as a customer answers 200 instead of 403", (117, 118)),
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
