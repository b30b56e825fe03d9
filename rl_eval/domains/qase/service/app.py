"""The web application: the shop's API, its control by the parent process, and the headers of every response."""

from __future__ import annotations

import hmac
import json
from collections.abc import Iterable
from typing import Any

from fastapi import FastAPI
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rl_eval.domains.qase.service.bug_detection import ComparedShops
from rl_eval.domains.qase.service.bugs import check_bug_ids
from rl_eval.domains.qase.service.routes import router
from rl_eval.errors import InputError
from rl_eval.net import read_body

# Two headers for one secret: test cases run with the second one, so they cannot use the control.
CONTROL_HEADER, TRUTH_HEADER = b"x-control-token", b"x-truth-token"
MAX_BODY = 64 << 10
# Declared duration of a request in ms. Nothing sleeps, so that thousands of cycles can be run.
DURATIONS_MS = {
    "GET /admin/reports/sales": 900, "GET /admin/reports/stock": 450, "GET /admin/users": 60,
    "GET /search": 120, "GET /products": 40, "GET /health": 5,
    "POST /users": 80, "POST /login": 70, "POST /orders": 180, "POST /orders/{order_id}/cancel": 110,
    "POST /orders/{order_id}/payments": 350, "POST /payments/{payment_id}/refund": 300,
}  # fmt: skip
READ_MS, WRITE_MS = 15, 30


def create_app(bugs: Iterable[str] = (), token: str | None = None) -> ASGIApp:
    """The service with the given bugs.

    Args:
        token: allows control of the service; None: no control.

    Raises:
        InputError: an unknown bug.
    """
    shop = FastAPI(title="Shop", description="The embedded service under test.", version="1")
    shop.include_router(router)
    shop.state.shops = ComparedShops(check_bug_ids(bugs), compare=token is not None)
    return _ControlledApp(shop, token)


class _ControlledApp:
    """Adds the control paths and the headers of every response to the shop."""

    def __init__(self, shop: FastAPI, token: str | None):
        self._shop = shop
        self._token = token.encode() if token else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._shop(scope, receive, send)
            return
        if scope["path"].startswith("/_control/"):
            await self._control(scope, receive, send, self._holds(scope, CONTROL_HEADER))
            return
        truth = self._holds(scope, TRUTH_HEADER)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = message["headers"] = list(message.get("headers", ()))
                headers.append((b"server-timing", b"app;dur=%d" % duration_ms(scope)))
                if truth:
                    headers.append((b"x-seeded-bugs", ",".join(scope.get("bugs", ())).encode()))
            await send(message)

        await self._shop(scope, receive, send_with_headers)

    def _holds(self, scope: Scope, header: bytes) -> bool:
        secret = next((value for name, value in scope["headers"] if name == header), b"")
        return self._token is not None and hmac.compare_digest(secret, self._token)

    async def _control(self, scope: Scope, receive: Receive, send: Send, controlled: bool) -> None:
        what = f"{scope['method']} {scope['path']}"
        status, body = 204, b""
        if not controlled:  # without the token the path does not exist
            status, body = 404, b'{"detail":"Not Found"}'
        elif what == "POST /_control/reset":
            self._shop.state.shops.reset()
        elif what == "PUT /_control/build":
            try:
                self._shop.state.shops = ComparedShops(
                    check_bug_ids(_bugs(await read_body(receive, MAX_BODY))), compare=True
                )
            except (InputError, ValueError) as error:
                status, body = 422, json.dumps({"detail": str(error)}).encode()
        else:
            status, body = 404, b'{"detail":"Not Found"}'
        headers = [(b"content-length", b"%d" % len(body))] if body else []
        headers.append((b"server-timing", b"app;dur=0"))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})


def duration_ms(scope: Scope) -> int:
    """The declared duration of the request of a scope."""
    method = scope["method"]
    default = READ_MS if method in ("GET", "HEAD", "OPTIONS") else WRITE_MS
    return DURATIONS_MS.get(f"{method} {getattr(scope.get('route'), 'path', '')}", default)


def _bugs(data: bytes) -> list[str]:
    document: Any = json.loads(data)
    bugs = document.get("bugs") if isinstance(document, dict) else None
    if not isinstance(bugs, list) or not all(isinstance(bug, str) for bug in bugs):
        raise ValueError('give {"bugs": ["B01", …]}')
    return bugs
