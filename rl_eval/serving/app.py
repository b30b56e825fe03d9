"""The web application: its routes, its OpenAPI schema, and how refusals are answered."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from pydantic.json_schema import models_json_schema
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp

from rl_eval import __version__
from rl_eval.errors import InputError
from rl_eval.serving import protocols, routes
from rl_eval.serving.refusals import ERRORS, refusal_of
from rl_eval.serving.security import Access, GuardedApp
from rl_eval.serving.server import PolicyServer
from rl_eval.validation_errors import UNKNOWN_KEY, value_sentence

DESCRIPTION = "Decisions of a policy, and what followed them. Errors have one sentence in `detail`."


ROUTERS = (routes.router, protocols.router)


def make_app(server: PolicyServer | None, domain_routes: Any = None, routers: Sequence[APIRouter] = ROUTERS) -> FastAPI:
    """The application without its guard.

    Args:
        server: None: every route that needs a policy answers 503.
        domain_routes: a FastAPI router of the domain, mounted at the root.
        routers: of the server itself.

    Raises:
        InputError: a route of the domain belongs to the server.
    """
    # No pages: FastAPI's load their scripts from elsewhere, and scripts of this origin may ask anything.
    title = "rl_eval policy server"
    app = FastAPI(title=title, version=__version__, description=DESCRIPTION, docs_url=None, redoc_url=None)
    app.state.server = server
    for router in routers:
        app.include_router(router)
    if domain_routes is not None:
        own = {path for router in routers for path in _paths(router)}
        for path in _paths(domain_routes):
            if path in own:
                raise InputError(f"the domain has a route {path}, which belongs to the server: rename it in the domain")
        app.include_router(domain_routes, responses=routes.REFUSALS)
    for kind in ERRORS:
        app.add_exception_handler(kind, _refused)
    app.add_exception_handler(RequestValidationError, _not_valid)
    app.add_exception_handler(HTTPException, _http_error)

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _schema(app)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]
    return app


def _paths(router: APIRouter) -> list[str]:
    return [route.path for route in router.routes if isinstance(route, APIRoute)]


def guarded(server: PolicyServer, access: Access) -> ASGIApp:
    """The application as it is served."""
    app = make_app(server, server.source.routes())
    direct = {path: functools.partial(handler, server) for path, handler in routes.DIRECT.items()}
    return GuardedApp(app, access, server.statistics.add_request, direct)


def _schema(app: FastAPI) -> dict[str, Any]:
    """OpenAPI of all routes. Our handlers read their bodies themselves, so their models are added here."""
    schema = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
    template = "#/components/schemas/{model}"
    models = [(model, "validation") for model in (*routes.BODIES, *protocols.BODIES)]
    _, definitions = models_json_schema(models, ref_template=template)  # type: ignore[arg-type]
    schema.setdefault("components", {}).setdefault("schemas", {}).update(definitions["$defs"])
    return schema


def _answer(status: int, sentence: str) -> Response:
    return JSONResponse({"detail": sentence}, status)


async def _refused(request: Request, error: Exception) -> Response:
    status, sentence = refusal_of(error)
    if request.url.path.startswith("/v2"):  # what the Open Inference Protocol calls it
        return JSONResponse({"error": sentence, "detail": sentence}, status)
    return _answer(status, sentence)


async def _not_valid(request: Request, error: Exception) -> Response:
    """Of a domain's route that FastAPI checks itself."""
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    if isinstance(first.get("input"), bytes):  # what FastAPI did not parse
        return _answer(422, "the body is read as JSON with the header `content-type: application/json` only: send it")
    if first["type"] == "json_invalid":
        return _answer(422, f"the body is not JSON ({first.get('ctx', {}).get('error', first['msg'])})"[:400])
    named = first["loc"][1:-1] if first["type"] in UNKNOWN_KEY else first["loc"][1:]
    key = ".".join(str(part) for part in named) or ("the body" if first["type"] == "missing" else "")
    sentence = value_sentence(first)
    separator = " " if sentence.startswith(("must be", "is ")) else ": "
    return _answer(422, (f"{key}{separator}{sentence}" if key else sentence)[:400])


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _answer(error.status_code, f"{request.method} {request.url.path[:100]}: {error.detail}")
