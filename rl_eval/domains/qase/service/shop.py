"""The data of the shop, in memory and deterministic: the same after every reset, with consecutive ids."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

Row = dict[str, Any]

_USERS = (
    ("admin@shop.example", "admin-secret", "Ada Admin", "admin"),
    ("ann@shop.example", "ann-secret", "Ann", "customer"),
    ("bob@shop.example", "bob-secret", "Bob", "customer"),
)
_PRODUCTS = (  # name, category, price in cents, stock
    ("Kettle", "kitchen", 2999, 10), ("Toaster", "kitchen", 3999, 5), ("Mug", "kitchen", 899, 50),
    ("Desk lamp", "office", 4500, 8), ("Notebook", "office", 350, 200), ("Pen", "office", 120, 500),
    ("Office chair", "office", 11900, 3), ("Running shoes", "sports", 8900, 12), ("Yoga mat", "sports", 2500, 20),
    ("Football", "sports", 1999, 0), ("Tea towel", "kitchen", 650, 30), ("Water bottle", "sports", 1500, 40),
)  # fmt: skip


class ShopResponse(NamedTuple):
    """Status and JSON body of a response; None is an empty body."""

    status: int
    body: Any = None


@dataclass
class Shop:
    """One shop and its bugs; tables are id -> row, in order of creation."""

    bugs: frozenset[str]
    users: dict[int, Row] = field(default_factory=dict)
    tokens: dict[str, int] = field(default_factory=dict)
    wrong_passwords: dict[int, int] = field(default_factory=dict)
    products: dict[int, Row] = field(default_factory=dict)
    shown_prices: dict[int, int] = field(default_factory=dict)
    reviews: dict[int, Row] = field(default_factory=dict)
    deleted_stars: dict[int, list[int]] = field(default_factory=dict)
    carts: dict[int, dict[int, int]] = field(default_factory=dict)
    coupons: dict[int, str] = field(default_factory=dict)
    orders: dict[int, Row] = field(default_factory=dict)
    payments: dict[int, Row] = field(default_factory=dict)
    issued: dict[str, int] = field(default_factory=dict)

    def next_id(self, kind: str) -> int:
        """The id of a new row: 1, 2, … for each kind; ids are never reused."""
        self.issued[kind] = self.issued.get(kind, 0) + 1
        return self.issued[kind]

    def user(self, token: str) -> Row | None:
        """The user of a token; None if it is invalid."""
        return self.users.get(self.tokens.get(token, 0))


def new_shop(bugs: frozenset[str]) -> Shop:
    """A shop in its initial state: 3 users, 12 products, 2 reviews, 2 orders, 1 payment."""
    shop = Shop(bugs)
    for email, password, name, role in _USERS:
        key = shop.next_id("user")
        shop.users[key] = {"id": key, "email": email, "password": password, "name": name, "role": role}
    for name, category, price, stock in _PRODUCTS:
        key = shop.next_id("product")
        shop.products[key] = {"id": key, "name": name, "category": category, "price": price, "stock": stock}
    for user, stars, text in ((2, 5, "Boils fast"), (3, 3, "A bit loud")):
        key = shop.next_id("review")
        shop.reviews[key] = {"id": key, "product_id": 1, "user_id": user, "stars": stars, "text": text}
    for user, product, quantity, total, status in ((3, 3, 2, 1798, "paid"), (2, 4, 1, 4500, "new")):
        key = shop.next_id("order")
        items = [{"product_id": product, "quantity": quantity}]
        shop.orders[key] = {
            "id": key, "user_id": user, "items": items, "discount": 0, "total": total, "status": status,
        }  # fmt: skip
    shop.payments[shop.next_id("payment")] = {"id": 1, "order_id": 1, "amount": 1798, "status": "paid"}
    return shop


def error_response(status: int, why: str) -> ShopResponse:
    """A response with an error message."""
    return ShopResponse(status, {"error": why})


LOGGED_OUT = error_response(401, "log in first")
FORBIDDEN = error_response(403, "not allowed")
