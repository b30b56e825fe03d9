"""Sums of carts and orders, in cents."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

COUPONS = {"WELCOME10": 10, "SPRING20": 20}  # code -> percent
DELIVERY = {"standard": 490, "express": 1290}


class Sums(NamedTuple):
    """What a cart or an order costs."""

    subtotal: int
    discount: int
    delivery: int
    total: int


def line_total(line: dict[str, Any]) -> int:
    """Price times quantity."""
    return line["price"] * line["quantity"]


def sums(lines: Sequence[dict[str, Any]], coupon: str, delivery: str | None) -> Sums:
    """The sums of lines with a `price` and a `quantity`.

    Args:
        coupon: a code of `COUPONS`, or empty.
        delivery: a key of `DELIVERY`; None: not chosen yet.
    """
    subtotal = sum(map(line_total, lines))
    discount = subtotal * COUPONS.get(coupon, 0) // 100
    cost = DELIVERY[delivery] if delivery else 0
    return Sums(subtotal, discount, cost, subtotal - discount + cost)


def money(cents: int) -> str:
    """`€12.90`."""
    return f"{'-' if cents < 0 else ''}€{abs(cents) // 100:,}.{abs(cents) % 100:02d}"
