"""The routes of the shop's REST API. Each passes an operation on a shop to `bug_detection.respond`."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel

from rl_eval.domains.qase.service import accounts, catalogue, sales
from rl_eval.domains.qase.service.bug_detection import respond
from rl_eval.domains.qase.service.shop import ShopResponse

router = APIRouter(default_response_class=Response)
Id = Annotated[int, "a row's number"]


class NewUser(BaseModel):
    """Body of `POST /users`."""

    email: str
    password: str
    name: str = ""


class UserChange(BaseModel):
    """Body of `PATCH /users/{user_id}`."""

    name: str | None = None
    email: str | None = None


class Credentials(BaseModel):
    """Body of `POST /login`."""

    email: str
    password: str


class NewProduct(BaseModel):
    """Body of `POST /products`."""

    name: str
    category: str
    price: int
    stock: int = 0


class ProductChange(BaseModel):
    """Body of `PATCH /products/{product_id}`."""

    price: int | None = None
    stock: int | None = None


class NewReview(BaseModel):
    """Body of `POST /products/{product_id}/reviews`."""

    stars: int
    text: str = ""


class CartItem(BaseModel):
    """Body of `POST /cart/items`."""

    product_id: int
    quantity: int = 1


class Coupon(BaseModel):
    """Body of `POST /cart/coupon`."""

    code: str


class NewPayment(BaseModel):
    """Body of `POST /orders/{order_id}/payments`."""

    amount: int
    card: str


def token_of(request: Request) -> str:
    """The token of `Authorization: Bearer …`; empty if there is none."""
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if kind.lower() == "bearer" else ""


@router.get("/health")
async def health(request: Request) -> Response:
    """Whether the service answers."""
    return respond(request, lambda shop: ShopResponse(200, {"status": "ok"}))


@router.post("/users")
async def register(body: NewUser, request: Request) -> Response:
    """A new customer."""
    return respond(request, lambda shop: accounts.register(shop, body.email, body.password, body.name))


@router.get("/users/{user_id}")
async def read_user(user_id: Id, request: Request) -> Response:
    """An account."""
    token = token_of(request)
    return respond(request, lambda shop: accounts.read(shop, token, user_id))


@router.patch("/users/{user_id}")
async def change_user(user_id: Id, body: UserChange, request: Request) -> Response:
    """Change name or e-mail address."""
    token = token_of(request)
    return respond(request, lambda shop: accounts.change(shop, token, user_id, body.name, body.email))


@router.delete("/users/{user_id}")
async def delete_user(user_id: Id, request: Request) -> Response:
    """Delete an account."""
    token = token_of(request)
    return respond(request, lambda shop: accounts.delete(shop, token, user_id))


@router.post("/login")
async def log_in(body: Credentials, request: Request) -> Response:
    """A token."""
    return respond(request, lambda shop: accounts.log_in(shop, body.email, body.password))


@router.post("/logout")
async def log_out(request: Request) -> Response:
    """Invalidate the token."""
    token = token_of(request)
    return respond(request, lambda shop: accounts.log_out(shop, token))


@router.get("/me")
async def me(request: Request) -> Response:
    """The account of the user."""
    token = token_of(request)
    return respond(request, lambda shop: accounts.me(shop, token))


@router.get("/products")
async def browse(
    request: Request, category: str | None = None, sort: str | None = None, page: int = 1, size: int = 10
) -> Response:
    """A page of products."""
    return respond(request, lambda shop: catalogue.browse(shop, category, sort, page, size))


@router.post("/products")
async def add_product(body: NewProduct, request: Request) -> Response:
    """A new product."""
    token = token_of(request)
    return respond(
        request, lambda shop: catalogue.add(shop, token, body.name, body.category, body.price, body.stock)
    )  # fmt: skip


@router.get("/products/{product_id}")
async def read_product(product_id: Id, request: Request) -> Response:
    """One product."""
    return respond(request, lambda shop: catalogue.read(shop, product_id))


@router.patch("/products/{product_id}")
async def change_product(product_id: Id, body: ProductChange, request: Request) -> Response:
    """Change price or stock."""
    token = token_of(request)
    return respond(request, lambda shop: catalogue.change(shop, token, product_id, body.price, body.stock))


@router.delete("/products/{product_id}")
async def remove_product(product_id: Id, request: Request) -> Response:
    """Remove a product."""
    token = token_of(request)
    return respond(request, lambda shop: catalogue.remove(shop, token, product_id))


@router.get("/search")
async def search(
    request: Request,
    words: Annotated[str, Query(alias="q")] = "",
    min_price: int | None = None,
    max_price: int | None = None,
) -> Response:
    """Products by name and price."""
    return respond(request, lambda shop: catalogue.search(shop, words, min_price, max_price))


@router.get("/products/{product_id}/reviews")
async def reviews(product_id: Id, request: Request) -> Response:
    """The reviews of a product."""
    return respond(request, lambda shop: catalogue.reviews(shop, product_id))


@router.post("/products/{product_id}/reviews")
async def review(product_id: Id, body: NewReview, request: Request) -> Response:
    """A review."""
    token = token_of(request)
    return respond(request, lambda shop: catalogue.review(shop, token, product_id, body.stars, body.text))


@router.delete("/reviews/{review_id}")
async def delete_review(review_id: Id, request: Request) -> Response:
    """Delete a review."""
    token = token_of(request)
    return respond(request, lambda shop: catalogue.delete_review(shop, token, review_id))


@router.get("/cart")
async def cart(request: Request) -> Response:
    """The cart of the user."""
    token = token_of(request)
    return respond(request, lambda shop: sales.cart(shop, token))


@router.post("/cart/items")
async def put_into_cart(body: CartItem, request: Request) -> Response:
    """Add a product to the cart."""
    token = token_of(request)
    return respond(request, lambda shop: sales.put_into_cart(shop, token, body.product_id, body.quantity))


@router.delete("/cart/items/{product_id}")
async def take_out_of_cart(product_id: Id, request: Request) -> Response:
    """Remove a product from the cart."""
    token = token_of(request)
    return respond(request, lambda shop: sales.take_out_of_cart(shop, token, product_id))


@router.post("/cart/coupon")
async def use_coupon(body: Coupon, request: Request) -> Response:
    """A discount on the cart."""
    token = token_of(request)
    return respond(request, lambda shop: sales.use_coupon(shop, token, body.code))


@router.post("/orders")
async def order(request: Request) -> Response:
    """The cart becomes an order."""
    token = token_of(request)
    return respond(request, lambda shop: sales.order(shop, token))


@router.get("/orders")
async def orders(request: Request) -> Response:
    """The orders of the user."""
    token = token_of(request)
    return respond(request, lambda shop: sales.orders(shop, token))


@router.get("/orders/{order_id}")
async def read_order(order_id: Id, request: Request) -> Response:
    """One order."""
    token = token_of(request)
    return respond(request, lambda shop: sales.read_order(shop, token, order_id))


@router.post("/orders/{order_id}/cancel")
async def cancel(order_id: Id, request: Request) -> Response:
    """The order is cancelled."""
    token = token_of(request)
    return respond(request, lambda shop: sales.cancel(shop, token, order_id))


@router.post("/orders/{order_id}/payments")
async def pay(order_id: Id, body: NewPayment, request: Request) -> Response:
    """The order is paid."""
    token = token_of(request)
    return respond(request, lambda shop: sales.pay(shop, token, order_id, body.amount, body.card))


@router.post("/payments/{payment_id}/refund")
async def refund(payment_id: Id, request: Request) -> Response:
    """The payment is given back."""
    token = token_of(request)
    return respond(request, lambda shop: sales.refund(shop, token, payment_id))


@router.get("/admin/users")
async def list_users(request: Request) -> Response:
    """All accounts."""
    token = token_of(request)
    return respond(request, lambda shop: accounts.list_users(shop, token))


@router.get("/admin/reports/sales")
async def sales_report(request: Request) -> Response:
    """Orders that were paid, and what they brought."""
    token = token_of(request)
    return respond(request, lambda shop: sales.sales_report(shop, token))


@router.get("/admin/reports/stock")
async def stock_report(request: Request, below: int = 5) -> Response:
    """Products with few left."""
    token = token_of(request)
    return respond(request, lambda shop: sales.stock_report(shop, token, below))
