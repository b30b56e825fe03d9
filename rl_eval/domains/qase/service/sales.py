"""From the cart to the money: cart, coupons, orders, payments, and what is reported of them. Amounts are in cents."""

from __future__ import annotations

from rl_eval.domains.qase.service.shop import FORBIDDEN, LOGGED_OUT, Answer, Row, Shop, refused

DECLINED_CARD = "4000000000000002"
NO_PRODUCT = refused(404, "no such product")
NO_ORDER = refused(404, "no such order")


def _subtotal(shop: Shop, cart: dict[int, int]) -> int:
    return sum(shop.products[key]["price"] * count for key, count in cart.items() if key in shop.products)


def _discount(code: str | None, subtotal: int) -> int:
    if code == "FLAT5":
        return 500 if subtotal >= 2000 else 0
    return subtotal * {"SAVE10": 10, "SUMMER": 25}.get(code or "", 0) // 100


def _cart(shop: Shop, user_id: int) -> Row:
    cart, code = shop.carts.get(user_id, {}), shop.coupons.get(user_id)
    subtotal = _subtotal(shop, cart)
    return {
        "items": [{"product_id": key, "quantity": count} for key, count in cart.items()],
        "coupon": code,
        "subtotal": subtotal,
        "total": subtotal - _discount(code, subtotal),
    }


def cart(shop: Shop, token: str) -> Answer:
    """The cart of whoever asks."""
    user = shop.user(token)
    return LOGGED_OUT if user is None else Answer(200, _cart(shop, user["id"]))


def put_into_cart(shop: Shop, token: str, product_id: int, quantity: int) -> Answer:
    """More of a product."""
    user = shop.user(token)
    if user is None:
        return LOGGED_OUT
    if product_id not in shop.products:
        return NO_PRODUCT
    if quantity < 1 and "B16" not in shop.bugs:
        return refused(400, "a quantity is at least 1")
    held = shop.carts.setdefault(user["id"], {})
    held[product_id] = quantity + (0 if "B15" in shop.bugs else held.get(product_id, 0))
    return Answer(201, _cart(shop, user["id"]))


def take_out_of_cart(shop: Shop, token: str, product_id: int) -> Answer:
    """None of a product any more."""
    user = shop.user(token)
    if user is None:
        return LOGGED_OUT
    if shop.carts.get(user["id"], {}).pop(product_id, None) is None:
        return refused(404, "not in the cart")
    return Answer(200, _cart(shop, user["id"]))


def use_coupon(shop: Shop, token: str, code: str) -> Answer:
    """A discount on the cart: SAVE10 is 10 %, FLAT5 is 5.00 from 20.00 on, SUMMER has expired."""
    user = shop.user(token)
    if user is None:
        return LOGGED_OUT
    if code not in ("SAVE10", "FLAT5", "SUMMER"):
        return refused(404, "no such coupon")
    if code == "SUMMER" and "B17" not in shop.bugs:
        return refused(410, "the coupon has expired")
    shop.coupons[user["id"]] = code
    return Answer(200, _cart(shop, user["id"]))


def order(shop: Shop, token: str) -> Answer:
    """The cart becomes an order; its stock is set aside."""
    user = shop.user(token)
    if user is None:
        return LOGGED_OUT
    held = shop.carts.get(user["id"], {})
    if not held:
        return refused(400, "the cart is empty")
    if any(key not in shop.products or shop.products[key]["stock"] < count for key, count in held.items()):
        return refused(409, "not enough in stock")
    subtotal = _subtotal(shop, held)
    discount = _discount(shop.coupons.get(user["id"]), subtotal) * (2 if "B18" in shop.bugs else 1)
    if "B19" not in shop.bugs:
        for product_id, count in held.items():
            shop.products[product_id]["stock"] -= count
    key = shop.next_id("order")
    items = [{"product_id": product_id, "quantity": count} for product_id, count in held.items()]
    shop.orders[key] = {
        "id": key, "user_id": user["id"], "items": items, "discount": discount, "total": subtotal - discount,
        "status": "new",
    }  # fmt: skip
    shop.carts.pop(user["id"])
    shop.coupons.pop(user["id"], None)
    return Answer(201, dict(shop.orders[key]))


def orders(shop: Shop, token: str) -> Answer:
    """The orders of whoever asks."""
    user = shop.user(token)
    if user is None:
        return LOGGED_OUT
    found = [dict(order) for order in shop.orders.values() if order["user_id"] == user["id"]]
    return Answer(200, {"items": found, "total": len(found)})


def _own(shop: Shop, token: str, order_id: int, reading: bool = False) -> Row | Answer:
    user = shop.user(token)
    if user is None:
        return LOGGED_OUT
    found = shop.orders.get(order_id)
    if found is None:
        return NO_ORDER
    if user["id"] != found["user_id"] and user["role"] != "admin" and not (reading and "B07" in shop.bugs):
        return FORBIDDEN
    return found


def read_order(shop: Shop, token: str, order_id: int) -> Answer:
    """An order, for its customer and for administrators."""
    found = _own(shop, token, order_id, reading=True)
    return found if isinstance(found, Answer) else Answer(200, dict(found))


def cancel(shop: Shop, token: str, order_id: int) -> Answer:
    """An order that is not paid yet is cancelled, and its stock given back."""
    found = _own(shop, token, order_id)
    if isinstance(found, Answer):
        return found
    if found["status"] != "new":
        return refused(409, f"the order is {found['status']}")
    found["status"] = "cancelled"
    if "B20" not in shop.bugs:
        for item in found["items"]:
            if item["product_id"] in shop.products:
                shop.products[item["product_id"]]["stock"] += item["quantity"]
    return Answer(200, dict(found))


def pay(shop: Shop, token: str, order_id: int, amount: int, card: str) -> Answer:
    """An order is paid in one sum; one card is always declined."""
    found = _own(shop, token, order_id)
    if isinstance(found, Answer):
        return found
    if found["status"] != "new" and not (found["status"] == "paid" and "B21" in shop.bugs):
        return refused(409, f"the order is {found['status']}")
    if amount != found["total"]:
        return refused(400, "the amount is not that of the order")
    if card == DECLINED_CARD:
        if "B22" in shop.bugs:
            found["status"] = "paid"
        return refused(402, "the card was declined")
    found["status"] = "paid"
    key = shop.next_id("payment")
    shop.payments[key] = {"id": key, "order_id": order_id, "amount": amount, "status": "paid"}
    return Answer(201, dict(shop.payments[key]))


def refund(shop: Shop, token: str, payment_id: int) -> Answer:
    """A payment is given back, by administrators."""
    user = shop.user(token)
    if user is None:
        return LOGGED_OUT
    if user["role"] != "admin":
        return FORBIDDEN
    found = shop.payments.get(payment_id)
    if found is None:
        return refused(404, "no such payment")
    if found["status"] != "paid":
        return refused(409, f"the payment is {found['status']}")
    found["status"] = "refunded"
    shop.orders[found["order_id"]]["status"] = "refunded"
    return Answer(200, dict(found))


def _reader(shop: Shop, token: str) -> Answer | None:
    user = shop.user(token)
    if user is None:
        return LOGGED_OUT
    return None if user["role"] == "admin" or "B24" in shop.bugs else FORBIDDEN


def sales_report(shop: Shop, token: str) -> Answer:
    """Orders that were paid, and what they brought, for administrators."""
    refusal = _reader(shop, token)
    if refusal is not None:
        return refusal
    counted = ("paid", "new") if "B23" in shop.bugs else ("paid",)
    totals = [order["total"] for order in shop.orders.values() if order["status"] in counted]
    return Answer(200, {"orders": len(totals), "revenue": sum(totals)})


def stock_report(shop: Shop, token: str, below: int) -> Answer:
    """Products of which there are few, for administrators."""
    refusal = _reader(shop, token)
    if refusal is not None:
        return refusal
    low = [product for product in shop.products.values() if product["stock"] < below]
    return Answer(200, {"items": [{name: p[name] for name in ("id", "name", "stock")} for p in low], "total": len(low)})
