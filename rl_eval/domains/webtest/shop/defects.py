"""The seeded defects of the shop. Each can be switched on separately; without defects the shop is correct."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from rl_eval.domains.webtest.page import FailureKind
from rl_eval.errors import InputError, nearest


class Defect(NamedTuple):
    """One seeded defect.

    Attributes:
        id: `D01`, `D02`, …
        kind: what a tester sees; an exception in a page is a `console_error`, an asset that is missing a `dead_link`.
        severity: from .25 (cosmetic) to 1 (a purchase is impossible or wrong).
        where: the page.
        trigger: how to trigger it.
        site: a regular expression for the site of the failure that it causes.
    """

    id: str
    kind: FailureKind
    severity: float
    where: str
    trigger: str
    site: str


# fmt: off
DEFECTS = (
    Defect("D01", "error_page", .75, "Catalogue", "search for words that no product has", r"GET /products 500"),
    Defect("D02", "error_page", .5, "Catalogue", "open the last page of the list of all products",
           r"GET /products/all/\{n\} 500"),
    Defect("D03", "error_page", .75, "Product page", "open a product that is out of stock",
           r"GET /products/\{n\} 500"),
    Defect("D04", "error_page", .75, "Cart", "use a coupon code that does not exist", r"POST /cart/coupon 500"),
    Defect("D05", "error_page", 1.0, "Checkout", "enter a name of more than 60 characters",
           r"POST /checkout/address 500"),
    Defect("D06", "error_page", .75, "Order history", "open an order that was paid by invoice",
           r"GET /account/orders/\{n\} 500"),
    Defect("D07", "error_page", .5, "Staff area", "export the list of customers", r"GET /admin/export 500"),
    Defect("D08", "error_page", .5, "Contact form", "send a message of more than 500 characters", r"POST /contact 500"),
    Defect("D09", "console_error", .25, "Catalogue", "choose another order of the list",
           r"sort order is not supported"),
    Defect("D10", "console_error", .25, "Product page", "show the next picture", r"gallery: picture # is missing"),
    Defect("D11", "console_error", .25, "Help", "open a help topic", r"help: no search index"),
    Defect("D12", "console_error", .75, "Product page", "choose another size", r"'surcharge'"),
    Defect("D13", "console_error", .75, "Cart", "press + next to a quantity", r"stepQuantity is not defined"),
    Defect("D14", "console_error", 1.0, "Checkout", "choose express delivery", r"'express_fee'"),
    Defect("D15", "console_error", .5, "Reviews", "choose a number of stars", r"'fill'"),
    Defect("D16", "dead_link", .5, "Help", "follow the link to returns", r"GET /help/returns 404"),
    Defect("D17", "dead_link", .5, "Product page", "follow the link to the maker of a product",
           r"GET /makers/\{n\} 404"),
    Defect("D18", "dead_link", .5, "Order history", "follow the link to the invoice of an order",
           r"GET /account/orders/\{n\}/invoice 404"),
    Defect("D19", "dead_link", .25, "Reviews", "follow the link to older reviews", r"GET /products/\{n\}/reviews 404"),
    Defect("D20", "dead_link", .25, "Product page", "open a product of the category Garden",
           r"GET /pictures/\{n\} 404"),
    Defect("D21", "error_page", .5, "Product page", "press the button that asks for the stock in stores",
           r"GET /products/\{n\}/stores 500"),
    Defect("D22", "broken_validation", .75, "Registration", "register with an e-mail address without @",
           r"POST /account/register email"),
    Defect("D23", "broken_validation", 1.0, "Product page", "put a quantity of 0 or below into the cart",
           r"POST /cart/items quantity"),
    Defect("D24", "broken_validation", .5, "Contact form", "send an empty message", r"POST /contact message"),
    Defect("D25", "broken_validation", .5, "Reviews", "send a review without a text",
           r"POST /products/\{n\}/reviews text"),
    Defect("D26", "broken_validation", 1.0, "Checkout", "pay with a card number that has letters",
           r"POST /checkout/payment card"),
    Defect("D27", "wrong_total", 1.0, "Cart", "have two or more of a product in the cart", r"/cart Subtotal"),
    Defect("D28", "wrong_total", 1.0, "Cart", "use a coupon", r"/cart Total"),
    Defect("D29", "wrong_total", 1.0, "Checkout", "choose express delivery and go on to the confirmation",
           r"/checkout/confirm Total"),
    Defect("D30", "wrong_total", .75, "Order history", "open an order with two products or more",
           r"/account/orders/\{n\} Subtotal"),
    Defect("D31", "lost_state", 1.0, "Log-in", "log in with something in the cart", r"cart POST /account/login"),
    Defect("D32", "lost_state", .75, "Checkout", "go back from the delivery to the address", r"form /checkout/address"),
    Defect("D33", "lost_state", .5, "Contact form", "send the form with one wrong entry", r"form /contact"),
    Defect("D34", "lost_state", 1.0, "Help", "open the page about delivery with something in the cart",
           r"cart GET /help/delivery"),
    Defect("D35", "unescaped_text", 1.0, "Catalogue", "search for markup", r"GET /products q"),
    Defect("D36", "unescaped_text", 1.0, "Reviews", "write a review with markup", r"POST /products/\{n\}/reviews text"),
)
# fmt: on
DEFECT_IDS = tuple(defect.id for defect in DEFECTS)


def check_defect_ids(ids: Iterable[str]) -> frozenset[str]:
    """A set of defect ids.

    Raises:
        InputError: an unknown id.
    """
    defects = frozenset(ids)
    for name in sorted(defects - set(DEFECT_IDS)):
        raise InputError(
            f"there is no seeded defect {name!r}: {nearest(name, DEFECT_IDS)}they are {DEFECT_IDS[0]} to "
            f"{DEFECT_IDS[-1]}"
        )
    return defects


def defect_of(kind: str, site: str) -> str | None:
    """The defect that causes a failure of a kind at a site; None: no seeded defect does, so it is a false alarm."""
    return next((d.id for d in DEFECTS if d.kind == kind and re.search(d.site, site)), None)
