"""The routes of operators: `/`, `/review`, `/metrics`, `/health`."""

from __future__ import annotations

import contextlib
import json
import math
import time
import urllib.parse
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response

from rl_eval import __version__
from rl_eval.errors import InputError
from rl_eval.production import review_queue
from rl_eval.production.audit import AuditError
from rl_eval.production.heartbeats import read_alive
from rl_eval.production.parts import Parts
from rl_eval.production.registry import RegistryError
from rl_eval.production.store import UnavailableError
from rl_eval.production.watch import pages
from rl_eval.production.watch.figures import BOUND, SHOWN_REVIEWS, Figures, read_figures
from rl_eval.production.watch.metrics import prometheus_text
from rl_eval.production.watch.observed import Observed
from rl_eval.production.watch.overrides import is_utf8, record_override
from rl_eval.serving.metrics import CONTENT_TYPE
from rl_eval.serving.refusals import json_text

MAX_FORM = 64 << 10  # bytes
_NO_STORE = {"Cache-Control": "no-store"}


def make_app(
    parts: Parts,
    names: Callable[[], Sequence[str]] = tuple,
    observed: Callable[[], Observed] = Observed,
    clock: Callable[[], float] = time.time,
) -> FastAPI:
    """The application without its guard.

    Args:
        names: of the actions; empty where they have none. Raises `InputError` where the champion is away.
        observed: how an observation is shown, in the same way.
        clock: seconds since 1970.
    """
    app = FastAPI(title="rl_eval production", version=__version__, docs_url=None, redoc_url=None, openapi_url=None)

    @app.get("/health")
    async def health() -> Response:
        return PlainTextResponse("ok\n")

    @app.get("/")
    async def status() -> Response:
        figures = await run_in_threadpool(read_figures, parts, clock())
        return HTMLResponse(_status(parts, figures), headers=_NO_STORE)

    @app.get("/metrics")
    async def metrics() -> Response:
        figures = await run_in_threadpool(read_figures, parts, clock())
        return Response(prometheus_text(figures), media_type=CONTENT_TYPE)

    @app.get("/review")
    async def review(request: Request, decision_id: str | None = None, offset: str = "0") -> Response:
        if decision_id is not None:
            return await run_in_threadpool(_one, parts, decision_id)
        if "text/html" not in request.headers.get("accept", ""):
            return await run_in_threadpool(_some, parts, _offset(offset))
        return await run_in_threadpool(_page, parts, names, observed, offset=_offset(offset))

    @app.post("/review")
    async def decide(request: Request) -> Response:
        values, is_form = await _body(request)
        try:
            named = await run_in_threadpool(names)
            override = await run_in_threadpool(record_override, parts, values, clock(), named)
        except InputError as error:
            status = 409 if isinstance(error, review_queue.ReviewedError) else _status_of(error)
            if is_form:
                return await run_in_threadpool(_page, parts, names, observed, str(error), "FAIL", status)
            return _json({"detail": str(error)}, status)
        return RedirectResponse("/review", 303) if is_form else _json(override.to_json())

    @app.exception_handler(InputError)
    async def refused(request: Request, error: Exception) -> Response:
        return _json({"detail": str(error)}, _status_of(error))

    return app


def _status(parts: Parts, figures: Figures) -> str:
    return pages.status_page(figures, parts.config.rollout.steps, shadow=parts.config.rollout.shadow)


def _status_of(error: Exception) -> int:
    return 503 if isinstance(error, UnavailableError | AuditError | RegistryError) else 422


def _json(values: dict[str, Any], status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    own = {**_NO_STORE, **(headers or {})}
    return Response(json_text(values), status, media_type="application/json", headers=own)


def _one(parts: Parts, decision_id: str) -> Response:
    is_text = is_utf8(decision_id) and "\0" not in decision_id  # PostgreSQL has no NUL
    looked_at = review_queue.is_looked_at(parts.store, decision_id) if is_text else None
    review = review_queue.read(parts.store, decision_id) if is_text else None
    if review is not None:
        return _json(_values(review))
    name = f"decision {decision_id[:80]!r}"
    if looked_at or (looked_at is not None and parts.config.loop.wrong_below is None):
        return _json({"detail": f"{name} was not given to a person: the policy's counts"}, 404)
    seconds = max(1, math.ceil(parts.config.loop.turn))
    retry = {"retry_s": seconds, "decision_id": decision_id}
    headers = {"Retry-After": str(seconds)}
    if looked_at is None:
        detail = f"{name} is not in the store: it was not collected yet, or is no longer kept; ask again in {seconds} s"
        return _json({"state": "unknown", "detail": detail, **retry}, 404, headers)
    detail = f"{name} was not looked at yet: ask again in {seconds} s"
    if not read_alive(parts.store)["loop"].count:
        detail += "; no control loop is alive, and nothing is looked at before `rl-eval production run` is started"
    return _json({"state": "not_looked_at", "detail": detail, **retry}, 202, headers)


def _offset(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 9):
        raise InputError(f"offset={text[:40]!r} is not a count: send how many decisions to leave out, from 0")
    return int(text)


def _some(parts: Parts, offset: int) -> Response:
    waiting = review_queue.waiting(parts.store, SHOWN_REVIEWS, offset)
    total = review_queue.counts(parts.store).get(review_queue.WAITING, 0)
    following = offset + len(waiting)
    values = {"waiting": [_values(item) for item in waiting], "total": total}
    return _json({**values, "next": following if waiting and following < total else None})


def _values(review: review_queue.Review) -> dict[str, Any]:
    """A decision as JSON; `action` is the one that counts."""
    override = review.override
    return {
        "decision_id": review.decision_id, "state": review.state, "policy_version": review.version,
        "decided": review.action, "action": review.action if override is None else override.action,
        "confidence": review.confidence, "observation": list(review.observation),
        "reviewer": None if override is None else override.reviewer,
    }  # fmt: skip


def _page(
    parts: Parts,
    names: Callable[[], Sequence[str]],
    observed: Callable[[], Observed],
    message: str = "",
    kind: str = "PASS",
    status: int = 200,
    offset: int = 0,
) -> Response:
    try:
        shown, how = names(), observed()
    except InputError as error:  # the page shows numbers, and no decision is taken meanwhile
        shown, how, message, kind = (), Observed(), message or str(error), "FAIL"
    waiting = review_queue.waiting(parts.store, SHOWN_REVIEWS, offset)
    count = review_queue.counts(parts.store).get(review_queue.WAITING, 0)
    bound = parts.store.document(BOUND).body
    page = pages.review_page(parts.config.name, waiting, count, shown, how, bound, message, kind, offset)
    return HTMLResponse(page, status, headers=_NO_STORE)


async def _body(request: Request) -> tuple[dict[str, Any], bool]:
    """The values of a form or of JSON, and whether it is a form."""
    content = await request.body()
    if len(content) > MAX_FORM:
        raise InputError(f"the body has {len(content):,} bytes: at most {MAX_FORM:,} are read")
    is_form = request.headers.get("content-type", "").partition(";")[0] == "application/x-www-form-urlencoded"
    try:
        if not is_form:
            values = json.loads(content)
            if not isinstance(values, dict):
                raise ValueError
            return values, False
        form = urllib.parse.parse_qs(content.decode(), max_num_fields=10, keep_blank_values=True)
        values = {name: texts[-1] for name, texts in form.items()}
        with contextlib.suppress(ValueError):  # an action's name
            values["action"] = json.loads(values.get("action", ""))
        return values, True
    except (ValueError, RecursionError) as error:
        raise InputError("the body is not a decision: send decision_id, action, reviewer and reason") from error
