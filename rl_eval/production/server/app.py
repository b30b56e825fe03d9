"""The routes of the production server: those of `rl-eval serve` that decide, and that take what followed."""

from __future__ import annotations

import functools
import time
from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp

from rl_eval.production.server.metrics import CONTENT_TYPE, prometheus_text
from rl_eval.production.server.production_server import SCHEMA, ProductionServer, RefusedRewardError
from rl_eval.serving.app import make_app
from rl_eval.serving.bodies import (
    DistributionAnswer,
    DistributionBody,
    RefusedError,
    SelectActionAnswer,
    SelectActionBody,
    StoreExperienceAnswer,
    StoreExperienceBody,
    parse,
)
from rl_eval.serving.experience import ReceivedExperience
from rl_eval.serving.observing import next_state_of
from rl_eval.serving.requests import SelectRequest, units_of
from rl_eval.serving.routes import REFUSALS, as_json, json_answer, observed, post
from rl_eval.serving.security import Access, GuardedApp

router = APIRouter(responses=REFUSALS)


def _server(request: Request) -> ProductionServer:
    return request.app.state.server


@router.get("/health")
async def health(request: Request) -> Response:
    """What is served; 503 until there is a champion."""
    server = _server(request)
    arms, source = server.arms, server.source
    return json_answer(
        {
            "status": "ok",
            "policy": server.config.name,
            "policy_version": arms.champion.version,
            "challenger": None if arms.challenger is None else arms.challenger.version,
            "share": arms.share,
            "shadow": arms.shadow,
            "recording": not server.recorder.failing,
            "env": server.policy.spaces.env,
            "learns": False,
            "uptime_s": time.time() - server.statistics.started,
            "observation_shape": list(server.policy.spaces.observation.shape or ()),
            "actions": server.policy.actions,
            "action_names": source.action_names,
            "encoder": server.observing.encoder,
        }
    )


@router.get("/v2/health/live")
async def live(request: Request) -> Response:
    """Whether the server answers."""
    return json_answer({"live": True})


@router.get("/metrics", response_class=PlainTextResponse)
async def metrics(request: Request) -> Response:
    """Counts and durations as Prometheus text."""
    return Response(prometheus_text(_server(request)), media_type=CONTENT_TYPE)


@post("/select_action", SelectActionBody, SelectActionAnswer, router)
async def select_action(request: Request) -> Response:
    """An action for an observation, or one for each row of a batch."""
    return json_answer(await decide(_server(request), await request.body()))


async def decide(server: ProductionServer, content: bytes) -> dict[str, Any]:
    """The answer of `/select_action` to a body."""
    body = parse(SelectActionBody, content)
    served: Any = server
    observation = await observed(served, body)
    request = SelectRequest(observation, body.greedy, units_of(body.unit, observation), body.record, body.seed)
    answered = await server.select(request)
    single, decided = observation.single, answered.decided
    versions: Any = answered.versions
    answer = {
        "action": as_json(decided.actions, single),
        "probability": as_json(decided.probability, single),
        "confidence": as_json(decided.confidence, single),
        "value": as_json(decided.values, single),
        "decision_id": answered.ids[0] if answered.ids is not None and single else answered.ids,
        "policy_version": versions[0] if len(set(versions)) == 1 else versions,
    }
    if server.observing.encoder is not None:
        answer["encoder"] = server.observing.encoder
    return answer


@post("/get_distribution", DistributionBody, DistributionAnswer, router)
async def get_distribution(request: Request) -> Response:
    """The champion's probabilities of all actions, or its normal distribution of continuous ones."""
    server: Any = _server(request)
    body = parse(DistributionBody, await request.body())
    observation = await observed(server, body)
    rows = server.private(SelectRequest(observation, True, None, False)).observation.rows
    distributions = server.policy.distributions(rows, observation.mask)
    single = observation.single
    return json_answer(
        {
            "probabilities": as_json(distributions.probabilities, single),
            "mean": as_json(distributions.mean, single),
            "std": as_json(distributions.std, single),
            "action_values": as_json(distributions.action_values, single),
            "actions": server.source.action_names,
            "policy_version": server.arms.champion.version,
        }
    )


@post("/store_experience", StoreExperienceBody, StoreExperienceAnswer, router)
async def store_experience(request: Request) -> Response:
    """What followed a decision; it outlives the server when this answers. The same body again changes nothing.

    Whether a training may have it is decided later by the quality filter, which counts what it refuses.
    """
    return json_answer(await keep(_server(request), await request.body()))


async def keep(server: ProductionServer, content: bytes) -> dict[str, Any]:
    """The answer of `/store_experience` to a body; what is refused is counted by reason."""
    try:
        body = parse(StoreExperienceBody, content)
        following = await server.observing.observation(next_state_of(body), server.policy)
        return {"decision_id": await server.keep_experience(ReceivedExperience(body, following)), "stored": True}
    except RefusedError as error:
        if error.status < 500:
            server.refusals[error.reason if isinstance(error, RefusedRewardError) else SCHEMA] += 1
        raise


DIRECT: dict[str, Callable[[ProductionServer, bytes], Awaitable[dict[str, Any]]]] = {
    "/select_action": decide,
    "/store_experience": keep,
}


def guarded(server: ProductionServer, access: Access) -> ASGIApp:
    """The application as it is served."""
    served: Any = server
    app = make_app(served, routers=(router,))
    direct = {path: functools.partial(handler, server) for path, handler in DIRECT.items()}
    return GuardedApp(app, access, server.statistics.add_request, direct)
