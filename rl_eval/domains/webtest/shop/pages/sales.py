"""Cart, coupons, and the checkout: address, delivery, payment, confirmation."""

from __future__ import annotations

import json
from typing import Any

from starlette.responses import Response

from rl_eval.domains.webtest.shop.fields import ADDRESS, COUPON, DELIVERY, PAYMENT, QUANTITY, errors
from rl_eval.domains.webtest.shop.pages.catalogue import not_found
from rl_eval.domains.webtest.shop.pages.routes import get, post
from rl_eval.domains.webtest.shop.pricing import COUPONS, Sums, sums
from rl_eval.domains.webtest.shop.pricing import DELIVERY as DELIVERY_COST
from rl_eval.domains.webtest.shop.visit import Visit

MOST = QUANTITY[0].most


@get("/cart")
def cart(visit: Visit) -> Response:
    """The cart."""
    return _cart_page(visit, {})


def _cart_page(visit: Visit, wrong: dict[str, str]) -> Response:
    lines, coupon = visit.lines(visit.cart), visit.data.get("coupon", "")
    amounts = sums(lines, coupon, None)
    if "D27" in visit.defects:
        amounts = sums([{**line, "quantity": 1} for line in lines], coupon, None)
    if "D28" in visit.defects:
        amounts = amounts._replace(total=amounts.total - amounts.discount)
    status = 422 if wrong else 200
    return visit.page(
        "cart.html", status, lines=lines, sums=amounts, coupon=coupon, wrong=wrong, form=visit.form,
        coupon_fields=COUPON, most=MOST,
    )  # fmt: skip


@post("/cart/items")
def put_into_cart(visit: Visit) -> Response:
    """A product into the cart."""
    number = visit.form.get("product", "")
    row = visit.db.row("SELECT * FROM product WHERE id = ?", int(number) if number.isdigit() else 0)
    if row is None:
        return not_found(visit)
    wrong = errors(QUANTITY, visit.form)
    if "D23" in visit.defects and visit.form.get("quantity", "").strip().lstrip("-").isdigit():
        wrong = {} if int(visit.form["quantity"]) < 1 else wrong
    if wrong:
        return visit.go(f"/products/{row['id']}", f"Error: {wrong['quantity']}.")
    if row["stock"] == 0:
        return visit.go(f"/products/{row['id']}", "Error: the product is out of stock.")
    key = str(row["id"])
    visit.cart[key] = min(visit.cart.get(key, 0) + int(visit.form["quantity"]), MOST)
    return visit.go("/cart", f"{row['name']} is in your cart.")


@post("/cart/quantity")
def change_quantity(visit: Visit) -> Response:
    """Another quantity of a product."""
    number = visit.form.get("product", "")
    if number not in visit.cart:
        return visit.go("/cart")
    if wrong := errors(QUANTITY, visit.form):
        return visit.go("/cart", f"Error: {wrong['quantity']}.")
    visit.cart[number] = int(visit.form["quantity"])
    return visit.go("/cart", "The quantity is changed.")


@post("/cart/remove")
def take_out(visit: Visit) -> Response:
    """A product out of the cart."""
    visit.cart.pop(visit.form.get("product", ""), None)
    return visit.go("/cart")


@post("/cart/coupon")
def use_coupon(visit: Visit) -> Response:
    """A discount."""
    wrong, code = errors(COUPON, visit.form), visit.form.get("code", "").strip().upper()
    if not wrong and code not in COUPONS:
        if "D04" in visit.defects:
            visit.data["percent"] = COUPONS[code]
        wrong = {"code": "There is no such coupon"}
    if wrong:
        return _cart_page(visit, wrong)
    visit.data["coupon"] = code
    return visit.go("/cart", f"The coupon takes {COUPONS[code]} % off.")


def _checkout(visit: Visit) -> dict[str, Any]:
    return visit.data.setdefault("checkout", {})


def _first_missing(visit: Visit, *steps: str) -> Response | None:
    """Where to go if the cart is empty or an earlier step is missing."""
    if not any(quantity > 0 for quantity in visit.cart.values()):
        return visit.go("/cart", "Your cart is empty.")
    done = _checkout(visit)
    return next((visit.go(f"/checkout/{step}") for step in steps if step not in done), None)


@get("/checkout/address")
def address_form(visit: Visit) -> Response:
    """Step 1: the address."""
    if (elsewhere := _first_missing(visit)) is not None:
        return elsewhere
    form = {} if "D32" in visit.defects else _checkout(visit).get("address", {})
    return visit.page("address.html", fields=ADDRESS, wrong={}, form=form)


@post("/checkout/address")
def address(visit: Visit) -> Response:
    """The address is kept for the order."""
    if (elsewhere := _first_missing(visit)) is not None:
        return elsewhere
    if "D05" in visit.defects and len(visit.form.get("name", "")) > ADDRESS[0].longest:
        raise OverflowError("the name does not fit on the label")
    if wrong := errors(ADDRESS, visit.form):
        return visit.page("address.html", 422, fields=ADDRESS, wrong=wrong, form=visit.form)
    _checkout(visit)["address"] = {field.name: visit.form.get(field.name, "").strip() for field in ADDRESS}
    return visit.go("/checkout/delivery")


@get("/checkout/delivery")
def delivery_form(visit: Visit) -> Response:
    """Step 2: the delivery."""
    if (elsewhere := _first_missing(visit, "address")) is not None:
        return elsewhere
    return visit.page("delivery.html", costs=DELIVERY_COST, chosen=_checkout(visit).get("delivery"), wrong={})


@post("/checkout/delivery")
def delivery(visit: Visit) -> Response:
    """The delivery is kept for the order."""
    if (elsewhere := _first_missing(visit, "address")) is not None:
        return elsewhere
    wrong = errors(DELIVERY, visit.form)
    if wrong or visit.form["delivery"] not in DELIVERY_COST:
        wrong = {"delivery": "Choose a delivery"}
        return visit.page("delivery.html", 422, costs=DELIVERY_COST, chosen=None, wrong=wrong)
    _checkout(visit)["delivery"] = visit.form["delivery"]
    return visit.go("/checkout/payment")


@get("/checkout/payment")
def payment_form(visit: Visit) -> Response:
    """Step 3: the payment."""
    if (elsewhere := _first_missing(visit, "address", "delivery")) is not None:
        return elsewhere
    return visit.page("payment.html", fields=PAYMENT, wrong={}, form=_checkout(visit).get("payment", {}))


@post("/checkout/payment")
def payment(visit: Visit) -> Response:
    """The card is kept for the order."""
    if (elsewhere := _first_missing(visit, "address", "delivery")) is not None:
        return elsewhere
    wrong = errors(PAYMENT, visit.form)
    card = visit.form.get("card", "").strip()
    if "D26" in visit.defects and card and len(card) <= PAYMENT[0].longest:
        wrong.pop("card", None)
    if wrong:
        return visit.page("payment.html", 422, fields=PAYMENT, wrong=wrong, form=visit.form)
    _checkout(visit)["payment"] = {field.name: visit.form.get(field.name, "") for field in PAYMENT}
    return visit.go("/checkout/confirm")


@get("/checkout/confirm")
def confirm_page(visit: Visit) -> Response:
    """Step 4: the confirmation."""
    if (elsewhere := _first_missing(visit, "address", "delivery", "payment")) is not None:
        return elsewhere
    lines, done = visit.lines(visit.cart), _checkout(visit)
    amounts: Sums = sums(lines, visit.data.get("coupon", ""), done["delivery"])
    if "D29" in visit.defects and done["delivery"] == "express":
        amounts = amounts._replace(total=amounts.total - amounts.delivery)
    return visit.page("confirm.html", lines=lines, sums=amounts, checkout=done)


@post("/checkout/confirm")
def confirm(visit: Visit) -> Response:
    """The order is placed."""
    if (elsewhere := _first_missing(visit, "address", "delivery", "payment")) is not None:
        return elsewhere
    done, lines = _checkout(visit), [[int(product), quantity] for product, quantity in visit.cart.items()]
    address = done["address"]
    number = visit.db.insert(
        "orders", account=visit.data.get("account", 0), address=", ".join(map(address.get, ("name", "street", "town"))),
        delivery=done["delivery"], payment="card", coupon=visit.data.get("coupon", ""), lines=json.dumps(lines),
        status="new",
    )  # fmt: skip
    for name in ("cart", "checkout", "coupon"):
        visit.data.pop(name, None)
    return visit.go(f"/checkout/done/{number}")


@get("/checkout/done/{number}")
def done(visit: Visit) -> Response:
    """Thanks for the order."""
    return visit.page("done.html", number=visit.number("number"))
