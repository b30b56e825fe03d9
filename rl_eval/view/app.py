"""The routes of the view. All of them only read."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, Response
from starlette.exceptions import HTTPException

from rl_eval.errors import InputError
from rl_eval.report.animation import film_file
from rl_eval.run_index import Entry
from rl_eval.untrusted_files import read_bounded
from rl_eval.view import compare_page, criterion_page, ledger_page, run_page, suite_pages, table_page
from rl_eval.view.rendering import HEADERS, REPORT_HEADERS, render, script, style
from rl_eval.view.runs import Runs

MAX_REPORT, MAX_FILM = 8 << 20, 32 << 20
PARTS = ("test", "validation", "train")


def make_app(runs: Runs) -> FastAPI:
    """The app over a list of runs."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, default_response_class=HTMLResponse)

    @app.middleware("http")
    async def with_headers(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        response = await call_next(request)
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        return response

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> Response:
        return _page(render("message.html", title="Not found", here="", sentence=str(error.detail)), error.status_code)

    @app.exception_handler(InputError)
    async def bad_input(request: Request, error: InputError) -> Response:
        return _page(render("message.html", title="This cannot be shown", here="", sentence=str(error)), 422)

    def entry_of(name: str) -> Entry:
        entry = runs.entry(name)
        if entry is None:
            raise HTTPException(404, "There is no such run. It may have been removed.")
        return entry

    @app.get("/")
    def table(request: Request) -> Response:
        return _page(table_page.page(runs, request.query_params))

    @app.get("/compare")
    def compare(request: Request) -> Response:
        chosen = [entry_of(name) for name in dict.fromkeys(request.query_params.getlist("run"))]
        return _page(compare_page.page(runs, chosen))

    @app.get("/suites")
    def suites() -> Response:
        return _page(suite_pages.list_page(runs))

    @app.get("/suite")
    def suite(name: str = "") -> Response:
        return _page(suite_pages.history_page(runs, name))

    @app.get("/ledger")
    def ledger() -> Response:
        return _page(ledger_page.page(runs))

    @app.get("/run/{name}")
    def run(name: str) -> Response:
        return _page(run_page.page(runs, entry_of(name)))

    @app.get("/run/{name}/curves")
    def curves(name: str) -> Response:
        return _page(run_page.curves(runs, entry_of(name)))

    @app.get("/run/{name}/criterion/{suite}/{criterion}")
    def criterion(name: str, suite: int, criterion: int) -> Response:
        page = criterion_page.page(runs, entry_of(name), suite, criterion)
        if page is None:
            raise HTTPException(404, "The verdict of this run has no such criterion.")
        return _page(page)

    @app.get("/run/{name}/report")
    def report(name: str) -> Response:
        content = _read(runs.directory(entry_of(name)) / "report.html", MAX_REPORT)
        return Response(content, media_type="text/html; charset=utf-8", headers=REPORT_HEADERS)

    @app.get("/run/{name}/film/{part}/{seed}")
    def film(name: str, part: str, seed: int) -> Response:
        if part not in PARTS:
            raise HTTPException(404, "There is no such part.")
        return Response(_read(film_file(runs.directory(entry_of(name)), part, seed), MAX_FILM), media_type="image/webp")

    @app.get("/view.css")
    def css() -> Response:
        return Response(style(), media_type="text/css")

    @app.get("/view.js")
    def javascript() -> Response:
        return Response(script(), media_type="text/javascript")

    @app.get("/favicon.ico", status_code=204)
    def icon() -> Response:
        return Response(status_code=204)

    return app


def _page(html: str, status: int = 200) -> HTMLResponse:
    return HTMLResponse(html, status)


def _read(file: Any, most: int) -> bytes:
    """A file of a run directory; links are not followed."""
    if file.is_symlink() or file.parent.is_symlink():
        raise HTTPException(404, "The file is a link, so it is not shown.")
    try:
        return read_bounded(file, most)
    except (OSError, OverflowError):
        raise HTTPException(404, "There is no such file, or it is too large.") from None
