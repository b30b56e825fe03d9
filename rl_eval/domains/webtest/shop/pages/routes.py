"""Routes of the shop: pages are plain functions of a visit, which the application wraps."""

from __future__ import annotations

from collections.abc import Callable

from starlette.responses import Response

from rl_eval.domains.webtest.shop.visit import Visit

Page = Callable[[Visit], Response]
ROUTES: list[tuple[str, str, Page]] = []


def get(path: str) -> Callable[[Page], Page]:
    """Register the page of a path."""
    return _register("GET", path)


def post(path: str) -> Callable[[Page], Page]:
    """Register what a form is sent to."""
    return _register("POST", path)


def _register(method: str, path: str) -> Callable[[Page], Page]:
    def add(page: Page) -> Page:
        ROUTES.append((method, path, page))
        return page

    return add
