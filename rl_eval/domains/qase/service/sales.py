"""Operations on cart, coupons, orders, payments and reports. Amounts are in cents."""

from __future__ import annotations

from rl_eval.domains.qase.service.shop import FORBIDDEN, LOGGED_OUT, Row, Shop, ShopResponse, error_response

DECLINED_CARD = "4000000000000002"
NO_PRODUCT = error_response(404, "no such product")
NO_ORDER = error_response(404, "no such order")


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


def cart(shop: Shop, token: str) -> ShopResponse:
    """The cart of the user."""
    user = shop.user(token)
    return LOGGED_OUT if user is None else ShopResponse(200, _cart(shop, user["id"]))


def put_into_cart(shop: Shop, token: str, product_id: int, quantity: int) -> ShopResponse:
    """Add a product to the cart."""
    user = shop.user(token)
    if user is None:
        return LOGGED_OUT
    if product_id not in shop.products:
        return NO_PRODUCT
    if quantity < 1 and "B16" not in shop.bugs:
        return error_response(400, "a quantity is at least 1")
    cart = shop.carts.setdefault(user["id"], {})
    cart[product_id] = quantity + (0 if "B15" in shop.bugs else cart.get(product_id, 0))
    return ShopResponse(201, _cart(shop, user["id"]))


def take_out_of_cart(shop: Shop, token: str, product_id: int) -> ShopResponse:
    """Remove a product from the cart."""
    user = shop.user(token)
    if user is None:
        return LOGGED_OUT
    if shop.carts.get(user["id"], {}).pop(product_id, None) is None:
        return error_response(404, "not in the cart")
    return ShopResponse(200, _cart(shop, user["id"]))


def use_coupon(shop: Shop, token: str, code: str) -> ShopResponse:
    """A discount on the cart: SAVE10 is 10 %, FLAT5 is 5.00 from 20.00 on, SUMMER has expired."""
    user = shop.user(token)
    if user is None:
        return LOGGED_OUT
    if code not in ("SAVE10", "FLAT5", "SUMMER"):
        return error_response(404, "no such coupon")
    if code == "SUMMER" and "B17" not in shop.bugs:
        return error_response(410, "the coupon has expired")
    shop.coupons[user["id"]] = code
    return ShopResponse(200, _cart(shop, user["id"]))


def order(shop: Shop, token: str) -> ShopResponse:
    """Turn the cart into an order and reserve its stock."""
    user = shop.user(token)
    if user is None:
        return LOGGED_OUT
    cart = shop.carts.get(user["id"], {})
    if not cart:
        return error_response(400, "the cart is empty")
    if any(key not in shop.products or shop.products[key]["stock"] < count for key, count in cart.items()):
        return error_response(409, "not enough in stock")
    subtotal = _subtotal(shop, cart)
    discount = _discount(shop.coupons.get(user["id"]), subtotal) * (2 if "B18" in shop.bugs else 1)
    if "B19" not in shop.bugs:
        for product_id, count in cart.items():
            shop.products[product_id]["stock"] -= count
    key = shop.next_id("order")
    items = [{"product_id": product_id, "quantity": count} for product_id, count in cart.items()]
    shop.orders[key] = {
        "id": key, "user_id": user["id"], "items": items, "discount": discount, "total": subtotal - discount,
        "status": "new",
    }  # fmt: skip
    shop.carts.pop(user["id"])
    shop.coupons.pop(user["id"], None)
    return ShopResponse(201, dict(shop.orders[key]))


def orders(shop: Shop, token: str) -> ShopResponse:
    """The orders of the user."""
    user = shop.user(token)
    if user is None:
        return LOGGED_OUT
    orders = [dict(order) for order in shop.orders.values() if order["user_id"] == user["id"]]
    return ShopResponse(200, {"items": orders, "total": len(orders)})


def _accessible_order(shop: Shop, token: str, order_id: int, read_only: bool = False) -> Row | ShopResponse:
    user = shop.user(token)
    if user is None:
        return LOGGED_OUT
    order = shop.orders.get(order_id)
    if order is None:
        return NO_ORDER
    if user["id"] != order["user_id"] and user["role"] != "admin" and not (read_only and "B07" in shop.bugs):
        return FORBIDDEN
    return order


def read_order(shop: Shop, token: str, order_id: int) -> ShopResponse:
    """An order, for its customer and for administrators."""
    order = _accessible_order(shop, token, order_id, read_only=True)
    return order if isinstance(order, ShopResponse) else ShopResponse(200, dict(order))


def cancel(shop: Shop, token: str, order_id: int) -> ShopResponse:
    """Cancel an unpaid order and return its stock."""
    order = _accessible_order(shop, token, order_id)
    if isinstance(order, ShopResponse):
        return order
    if order["status"] != "new":
        return error_response(409, f"the order is {order['status']}")
    order["status"] = "cancelled"
    if "B20" not in shop.bugs:
        for item in order["items"]:
            if item["product_id"] in shop.products:
                shop.products[item["product_id"]]["stock"] += item["quantity"]
    return ShopResponse(200, dict(order))


def pay(shop: Shop, token: str, order_id: int, amount: int, card: str) -> ShopResponse:
    """Pay an order in full; one card is always declined."""
    order = _accessible_order(shop, token, order_id)
    if isinstance(order, ShopResponse):
        return order
    if order["status"] != "new" and not (order["status"] == "paid" and "B21" in shop.bugs):
        return error_response(409, f"the order is {order['status']}")
    if amount != order["total"]:
        return error_response(400, "the amount is not that of the order")
    if card == DECLINED_CARD:
        if "B22" in shop.bugs:
            order["status"] = "paid"
        return error_response(402, "the card was declined")
    order["status"] = "paid"
    key = shop.next_id("payment")
    shop.payments[key] = {"id": key, "order_id": order_id, "amount": amount, "status": "paid"}
    return ShopResponse(201, dict(shop.payments[key]))


def refund(shop: Shop, token: str, payment_id: int) -> ShopResponse:
    """Refund a payment, by administrators."""
    user = shop.user(token)
    if user is None:
        return LOGGED_OUT
    if user["role"] != "admin":
        return FORBIDDEN
    payment = shop.payments.get(payment_id)
    if payment is None:
        return error_response(404, "no such payment")
    if payment["status"] != "paid":
        return error_response(409, f"the payment is {payment['status']}")
    payment["status"] = "refunded"
    shop.orders[payment["order_id"]]["status"] = "refunded"
    return ShopResponse(200, dict(payment))


def _report_refusal(shop: Shop, token: str) -> ShopResponse | None:
    user = shop.user(token)
    if user is None:
        return LOGGED_OUT
    return None if user["role"] == "admin" or "B24" in shop.bugs else FORBIDDEN


def sales_report(shop: Shop, token: str) -> ShopResponse:
    """Number and revenue of paid orders, for administrators."""
    refusal = _report_refusal(shop, token)
    if refusal is not None:
        return refusal
    counted = ("paid", "new") if "B23" in shop.bugs else ("paid",)
    totals = [order["total"] for order in shop.orders.values() if order["status"] in counted]
    return ShopResponse(200, {"orders": len(totals), "revenue": sum(totals)})


def stock_report(shop: Shop, token: str, below: int) -> ShopResponse:
    """Products with little stock, for administrators."""
    refusal = _report_refusal(shop, token)
    if refusal is not None:
        return refusal
    low = [product for product in shop.products.values() if product["stock"] < below]
    return ShopResponse(
        200, {"items": [{name: p[name] for name in ("id", "name", "stock")} for p in low], "total": len(low)}
    )
