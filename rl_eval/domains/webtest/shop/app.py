"""The web application: the pages of each copy of the shop, and its control by the parent process."""

from __future__ import annotations

import base64
import contextlib
import hmac
import json
from collections.abc import Iterable
from typing import Any

from fastapi import FastAPI, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from rl_eval.domains.webtest.shop.branches import BranchRecord
from rl_eval.domains.webtest.shop.database import Database, pristine
from rl_eval.domains.webtest.shop.defects import check_defect_ids
from rl_eval.domains.webtest.shop.pages import accounts, catalogue, sales, service
from rl_eval.domains.webtest.shop.pages.routes import ROUTES, Page
from rl_eval.domains.webtest.shop.process import COPY_HEADER
from rl_eval.domains.webtest.shop.visit import MAX_BODY, read_visit
from rl_eval.errors import InputError
from rl_eval.net import TooLargeError, read_body
from rl_eval.net.embedded_service import CONTROL_HEADER

PAGES = (accounts, catalogue, sales, service)


class Copy:
    """One copy of the shop: a build and a database."""

    def __init__(self, defects: frozenset[str]):
        self.db, self.defects = Database(), defects

    def start(self, defects: frozenset[str]) -> None:
        """Another build, and the data of the start."""
        self.defects = defects
        self.db.restore(pristine())


class Copies(dict[str, Copy]):
    """Copies by name, made when they are first asked for."""

    def __init__(self, defects: frozenset[str]):
        super().__init__()
        self._defects = defects

    def __missing__(self, name: str) -> Copy:
        copy = self[name] = Copy(self._defects)
        return copy


def create_app(defects: Iterable[str] = (), token: str | None = None, branches: BranchRecord | None = None) -> ASGIApp:
    """The shop with some defects.

    Args:
        token: allows control of the shop; None: no control.
        branches: records which branches of the shop's code ran.

    Raises:
        InputError: an unknown defect.
    """
    copies = Copies(check_defect_ids(defects))
    shop = FastAPI(title="Shop", openapi_url=None)

    def endpoint(page: Page):
        async def answer(request: Request) -> Response:
            try:
                body = await read_body(request.receive, MAX_BODY)
            except TooLargeError as error:
                return PlainTextResponse(str(error), 413)
            name = request.headers.get(COPY_HEADER, "")[:20]
            copy = copies[name]
            visit = read_visit(request, body, copy.db, copy.defects)
            # From here on nothing is awaited, so the branches that run are those of this copy.
            with branches.of(name) if branches else contextlib.nullcontext():
                try:
                    return page(visit)
                except Exception:
                    return visit.page("message.html", 500, title="Error", text="Something went wrong.")

        return answer

    for method, path, page in ROUTES:
        shop.add_api_route(path, endpoint(page), methods=[method], response_model=None)
    return _ControlledApp(shop, copies, token, branches)


class _ControlledApp:
    """Adds the control paths to the shop."""

    def __init__(self, shop: FastAPI, copies: Copies, token: str | None, branches: BranchRecord | None):
        self._shop, self._copies, self._branches = shop, copies, branches
        self._token = token.encode() if token else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith("/_control/"):
            await self._shop(scope, receive, send)
            return
        request = Request(scope, receive)
        status, answer = 404, {"detail": "Not Found"}  # without the token the path does not exist
        if self._token and hmac.compare_digest(request.headers.get(CONTROL_HEADER, "").encode(), self._token):
            try:
                status, answer = 200, self._control(request, await read_body(receive, MAX_BODY))
            except (InputError, ValueError, KeyError, TypeError) as error:
                status, answer = 422, {"detail": str(error)}
        await JSONResponse(answer, status)(scope, receive, send)

    def _control(self, request: Request, body: bytes) -> dict[str, Any]:
        asked = json.loads(body or b"{}")
        name = str(asked.get("copy", ""))
        match request.url.path:
            case "/_control/start":
                self._copies[name].start(check_defect_ids(asked["defects"]))
                if self._branches:
                    self._branches.start(name)
            case "/_control/snapshot":
                return {"snapshot": base64.b64encode(self._copies[name].db.snapshot()).decode()}
            case "/_control/restore":
                self._copies[name].db.restore(base64.b64decode(asked["snapshot"]))
            case "/_control/branches" if self._branches:
                return {"taken": self._branches.taken(name), "total": self._branches.total()}
            case path:
                raise ValueError(f"there is no {path}")
        return {}
