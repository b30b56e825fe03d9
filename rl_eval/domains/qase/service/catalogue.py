"""Operations on products, search and reviews. Prices are in cents."""

from __future__ import annotations

from rl_eval.domains.qase.service.shop import FORBIDDEN, LOGGED_OUT, Row, Shop, ShopResponse, error_response

MAX_PAGE_SIZE = 50
NO_PRODUCT = error_response(404, "no such product")


def _rating(shop: Shop, product_id: int) -> float | None:
    stars = [review["stars"] for review in shop.reviews.values() if review["product_id"] == product_id]
    if "B14" in shop.bugs:
        stars += shop.deleted_stars.get(product_id, [])
    return round(sum(stars) / len(stars), 2) if stars else None


def _product_fields(shop: Shop, product: Row) -> Row:
    price = shop.shown_prices.get(product["id"], product["price"]) if "B10" in shop.bugs else product["price"]
    return {**product, "price": price, "rating": _rating(shop, product["id"])}


def _admin_refusal(shop: Shop, token: str) -> ShopResponse | None:
    user = shop.user(token)
    if user is None:
        return LOGGED_OUT
    return None if user["role"] == "admin" else FORBIDDEN


def browse(shop: Shop, category: str | None, sort: str | None, page: int, size: int) -> ShopResponse:
    """A page of products."""
    if page < 1 or not 1 <= size <= MAX_PAGE_SIZE:
        return error_response(400, f"page counts from 1, and size is 1 to {MAX_PAGE_SIZE}")
    if sort not in (None, "price", "name"):
        return error_response(400, "sort is price or name")
    products = [
        _product_fields(shop, product) for product in shop.products.values() if category in (None, product["category"])
    ]
    if sort == "name":
        products.sort(key=lambda product: product["name"])
    elif sort == "price" and "B09" in shop.bugs:
        products.sort(key=lambda product: str(product["price"]))
    elif sort == "price":
        products.sort(key=lambda product: product["price"])
    items = products[(page - 1) * size : page * size]
    if "B08" in shop.bugs and len(items) == size:
        items = items[:-1]
    return ShopResponse(200, {"items": items, "total": len(products), "page": page, "pages": -(-len(products) // size)})


def read(shop: Shop, product_id: int) -> ShopResponse:
    """One product, with the mean of its reviews' stars."""
    product = shop.products.get(product_id)
    return NO_PRODUCT if product is None else ShopResponse(200, _product_fields(shop, product))


def add(shop: Shop, token: str, name: str, category: str, price: int, stock: int) -> ShopResponse:
    """Add a product; only administrators may."""
    refusal = _admin_refusal(shop, token)
    if refusal is not None:
        return refusal
    if not name or price <= 0 or stock < 0:
        return error_response(400, "a product needs a name, a price above 0 and a stock of at least 0")
    key = shop.next_id("product")
    shop.products[key] = {"id": key, "name": name, "category": category, "price": price, "stock": stock}
    return ShopResponse(201, _product_fields(shop, shop.products[key]))


def change(shop: Shop, token: str, product_id: int, price: int | None, stock: int | None) -> ShopResponse:
    """Change price or stock of a product; only administrators may."""
    refusal = _admin_refusal(shop, token)
    if refusal is not None:
        return refusal
    product = shop.products.get(product_id)
    if product is None:
        return NO_PRODUCT
    if (price is not None and price <= 0) or (stock is not None and stock < 0):
        return error_response(400, "a price is above 0 and a stock at least 0")
    if price is not None:
        shop.shown_prices.setdefault(product_id, product["price"])
        product["price"] = price
    if stock is not None:
        product["stock"] = stock
    return ShopResponse(200, {**product, "rating": _rating(shop, product_id)})


def remove(shop: Shop, token: str, product_id: int) -> ShopResponse:
    """Remove a product; only administrators may."""
    refusal = _admin_refusal(shop, token)
    if refusal is not None:
        return refusal
    return ShopResponse(204) if shop.products.pop(product_id, None) else NO_PRODUCT


def search(shop: Shop, words: str, min_price: int | None, max_price: int | None) -> ShopResponse:
    """Products by part of their name and by price, both ends included."""
    if min_price is not None and max_price is not None and min_price > max_price:
        return error_response(400, "min_price is above max_price")
    products = []
    for product in shop.products.values():
        name, query = product["name"], words
        if "B11" not in shop.bugs:
            name, query = name.lower(), query.lower()
        if query not in name or (min_price is not None and product["price"] < min_price):
            continue
        if max_price is not None and product["price"] > max_price - ("B12" in shop.bugs):
            continue
        products.append(_product_fields(shop, product))
    return ShopResponse(200, {"items": products, "total": len(products)})


def reviews(shop: Shop, product_id: int) -> ShopResponse:
    """The reviews of a product."""
    if product_id not in shop.products:
        return NO_PRODUCT
    reviews = [dict(review) for review in shop.reviews.values() if review["product_id"] == product_id]
    return ShopResponse(200, {"items": reviews, "total": len(reviews)})


def review(shop: Shop, token: str, product_id: int, stars: int, text: str) -> ShopResponse:
    """Add a review; one for each customer and product."""
    user = shop.user(token)
    if user is None:
        return LOGGED_OUT
    if product_id not in shop.products:
        return NO_PRODUCT
    if not (0 <= stars <= 6 if "B13" in shop.bugs else 1 <= stars <= 5):
        return error_response(400, "stars are 1 to 5")
    if any(r["product_id"] == product_id and r["user_id"] == user["id"] for r in shop.reviews.values()):
        return error_response(409, "reviewed already")
    key = shop.next_id("review")
    shop.reviews[key] = {"id": key, "product_id": product_id, "user_id": user["id"], "stars": stars, "text": text}
    return ShopResponse(201, dict(shop.reviews[key]))


def delete_review(shop: Shop, token: str, review_id: int) -> ShopResponse:
    """Delete a review; only its author and administrators may."""
    user = shop.user(token)
    if user is None:
        return LOGGED_OUT
    review = shop.reviews.get(review_id)
    if review is None:
        return error_response(404, "no such review")
    if user["id"] != review["user_id"] and user["role"] != "admin":
        return FORBIDDEN
    del shop.reviews[review_id]
    shop.deleted_stars.setdefault(review["product_id"], []).append(review["stars"])
    return ShopResponse(204)
