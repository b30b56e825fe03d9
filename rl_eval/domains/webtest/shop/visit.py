"""`Visit`: what a page needs to answer one request, and its answers."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import jinja2
from fastapi import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from rl_eval.domains.webtest.shop.database import Database
from rl_eval.domains.webtest.shop.pricing import money
from rl_eval.domains.webtest.shop.products import CATEGORIES, SIZES

COOKIE = "shop_session"
MAX_BODY = 64 << 10
_TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"), autoescape=True, trim_blocks=True
)
_TEMPLATES.filters["money"] = money


@dataclass
class Visit:
    """One request.

    Attributes:
        defects: the defects of the build.
        form: the fields of a posted form.
        token: of the session.
        data: of the session: `account`, `cart` (product -> quantity), `coupon`, `checkout`, `notice`.
    """

    request: Request
    db: Database
    defects: frozenset[str]
    form: dict[str, str]
    token: str
    data: dict[str, Any] = field(default_factory=dict)

    @property
    def account(self) -> dict[str, Any] | None:
        """Who is logged in."""
        return self.db.row("SELECT * FROM account WHERE id = ?", self.data.get("account"))

    @property
    def cart(self) -> dict[str, int]:
        """Product id -> quantity."""
        return self.data.setdefault("cart", {})

    def query(self, name: str, default: str = "") -> str:
        """A field of the query."""
        return self.request.query_params.get(name, default)

    def number(self, name: str) -> int:
        """A number in the path; 0 if it is not a number."""
        text = str(self.request.path_params.get(name, ""))
        return int(text) if text.isascii() and text.isdigit() and len(text) < 9 else 0

    def lines(self, quantities: dict[str, int] | list[list[int]]) -> list[dict[str, Any]]:
        """Products with their quantities."""
        pairs = quantities.items() if isinstance(quantities, dict) else quantities
        lines = []
        for product_id, quantity in pairs:
            product = self.db.row("SELECT * FROM product WHERE id = ?", int(product_id))
            if product is not None:
                lines.append({**product, "quantity": quantity})
        return lines

    def page(self, template: str, status: int = 200, **values: Any) -> Response:
        """A page from a template."""
        notice = self.data.pop("notice", None)
        text = _TEMPLATES.get_template(template).render(
            values, defects=self.defects, account=self.account, cart_count=sum(self.cart.values()), notice=notice,
            categories=CATEGORIES, sizes=SIZES, path=self.request.url.path,
        )  # fmt: skip
        return self._with_session(HTMLResponse(text, status))

    def go(self, path: str, notice: str | None = None) -> Response:
        """A redirect after a form, with a sentence that the next page shows."""
        if notice:
            self.data["notice"] = notice
        return self._with_session(RedirectResponse(path, 303))

    def _with_session(self, response: Response) -> Response:
        data = json.dumps(self.data)
        self.db.change(
            "INSERT INTO session (token, data) VALUES (?, ?) ON CONFLICT (token) DO UPDATE SET data = ?",
            self.token, data, data,
        )  # fmt: skip
        response.set_cookie(COOKIE, self.token, httponly=True, samesite="lax")
        return response


def read_visit(request: Request, body: bytes, db: Database, defects: frozenset[str]) -> Visit:
    """The visit of a request whose body was read."""
    form = {name: values[-1] for name, values in parse_qs(body.decode("utf-8", "replace"), True).items()}
    token = request.cookies.get(COOKIE, "")
    row = db.row("SELECT data FROM session WHERE token = ?", token)
    if row is None:
        token = db.new_token()
    return Visit(request, db, defects, form, token, json.loads(row["data"]) if row else {})
