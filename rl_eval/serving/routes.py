"""The server's own routes."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
from fastapi import APIRouter
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from rl_eval.serving.bodies import (
    Body,
    CheckpointAnswer,
    DistributionAnswer,
    DistributionBody,
    ErrorAnswer,
    HealthAnswer,
    NameBody,
    Observed,
    RefusedError,
    SelectActionAnswer,
    SelectActionBody,
    StatsAnswer,
    StoreExperienceAnswer,
    StoreExperienceBody,
    UpdateAnswer,
    UpdateBody,
    parse,
)
from rl_eval.serving.experience import ReceivedExperience
from rl_eval.serving.metrics import CONTENT_TYPE, prometheus_text
from rl_eval.serving.observing import next_state_of, state_of
from rl_eval.serving.refusals import json_text
from rl_eval.serving.requests import Observation, SelectRequest, units_of
from rl_eval.serving.server import PolicyServer

BODIES: list[type[Body]] = [SelectActionBody, DistributionBody, StoreExperienceBody, UpdateBody, NameBody]
REFUSALS: dict[int | str, dict[str, Any]] = {
    "4XX": {"model": ErrorAnswer, "description": "Refused, with one sentence."},
    503: {"model": ErrorAnswer, "description": "No policy is loaded yet."},
}
router = APIRouter(responses=REFUSALS)


def post(path: str, body: type[Body], answer: type[BaseModel], to: APIRouter = router) -> Callable[..., Any]:
    """A POST route whose handler reads its body itself, and what OpenAPI says of it."""
    reference = {"$ref": f"#/components/schemas/{body.__name__}"}
    required = any(field.is_required() for field in body.model_fields.values())
    content = {"required": required, "content": {"application/json": {"schema": reference}}}
    return to.post(path, response_model=answer, openapi_extra={"requestBody": content})


def server_of(request: Request) -> PolicyServer:
    """What is served.

    Raises:
        RefusedError: 503, nothing yet.
    """
    server = request.app.state.server
    if server is None:
        raise RefusedError(503, "no policy is loaded yet: wait until /health answers with status 200")
    return server


def json_answer(values: dict[str, Any]) -> Response:
    """A JSON answer; numbers are finite."""
    return Response(json_text(values), media_type="application/json")


def as_json(array: np.ndarray | None, single: bool) -> Any:
    """An array as JSON values: that of its one row, or all rows; null for None and for what is not finite."""
    if array is None:
        return None
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        return None
    return (array[0] if single else array).tolist()


@router.get("/health", response_model=HealthAnswer)
async def health(request: Request) -> Response:
    """What is served; 503 until a policy is loaded."""
    server = server_of(request)
    source, policy = server.source, server.policy
    return json_answer(
        {
            "status": "ok",
            "policy_version": policy.version,
            "policy": source.name,
            "env": policy.spaces.env,
            "agent": source.meta.get("agent"),
            "learns": source.run_config is not None,
            "uptime_s": time.time() - server.statistics.started,
            "observation_shape": list(policy.spaces.observation.shape or ()),
            "actions": policy.actions,
            "action_names": source.action_names,
            "encoder": server.observing.encoder,
        }
    )


@router.get("/stats", response_model=StatsAnswer)
async def stats(request: Request) -> Response:
    """Counts, returns, losses and versions."""
    server = server_of(request)
    counted, counts, history = server.statistics, server.store.counts(), server.history
    return json_answer(
        {
            "policy_version": server.policy.version,
            "uptime_s": time.time() - counted.started,
            "decisions": counts.decisions,
            "experiences": counts.experiences,
            "waiting": server.store.waiting(),
            "episodes": counts.episodes,
            "mean_return": counts.mean_return,
            "mean_reward": counts.mean_reward,
            "updates": server.updates,
            "loads": history.loads,
            "last_update": history.last_update,
            "losses": history.losses,
            "versions": history.versions,
            "requests": {f"{path} {status}": count for (path, status), count in sorted(counted.requests.items())},
            "buffer_fill": server.buffer_fill,
        }
    )


@router.get("/metrics", response_class=PlainTextResponse)
async def metrics(request: Request) -> Response:
    """The same counts, and durations, as Prometheus text."""
    return Response(prometheus_text(server_of(request)), media_type=CONTENT_TYPE)


@post("/select_action", SelectActionBody, SelectActionAnswer)
async def select_action(request: Request) -> Response:
    """An action for an observation, or one for each row of a batch."""
    return json_answer(await decide(server_of(request), await request.body()))


async def decide(server: PolicyServer, content: bytes) -> dict[str, Any]:
    """The answer of `/select_action` to a body."""
    body = parse(SelectActionBody, content)
    observation = await observed(server, body)
    select = SelectRequest(observation, body.greedy, units_of(body.unit, observation), body.record, body.seed)
    decided, ids, version = await server.select(select)
    single = observation.single
    answer = {
        "action": as_json(decided.actions, single),
        "probability": as_json(decided.probability, single),
        "confidence": as_json(decided.confidence, single),
        "value": as_json(decided.values, single),
        "decision_id": ids[0] if ids is not None and single else ids,
        "policy_version": version,
    }
    if server.observing.encoder is not None:
        answer["encoder"] = server.observing.encoder
    return answer


async def observed(server: PolicyServer, body: Observed) -> Observation:
    """What a body asks about.

    Raises:
        RefusedError: nothing, or what does not fit.
    """
    observation = await server.observing.observation(state_of(body), server.policy)
    if observation is None:
        raise RefusedError(422, "give one of observation, embedding and prompt, not none of them")
    return observation


@post("/get_distribution", DistributionBody, DistributionAnswer)
async def get_distribution(request: Request) -> Response:
    """Probabilities of all actions, or the normal distribution of continuous ones."""
    server, body = server_of(request), parse(DistributionBody, await request.body())
    observation = await observed(server, body)
    served = server.policy
    distributions = served.distributions(observation.rows, observation.mask)
    single = observation.single
    return json_answer(
        {
            "probabilities": as_json(distributions.probabilities, single),
            "mean": as_json(distributions.mean, single),
            "std": as_json(distributions.std, single),
            "action_values": as_json(distributions.action_values, single),
            "actions": server.source.action_names,
            "policy_version": served.version,
        }
    )


@post("/store_experience", StoreExperienceBody, StoreExperienceAnswer)
async def store_experience(request: Request) -> Response:
    """What followed a decision; it is on disk when this answers. The same body again changes nothing."""
    return json_answer(await keep(server_of(request), await request.body()))


async def keep(server: PolicyServer, content: bytes) -> dict[str, Any]:
    """The answer of `/store_experience` to a body."""
    body = parse(StoreExperienceBody, content)
    following = await server.observing.observation(next_state_of(body), server.policy)
    decision_id, _ = await server.keep_experience(ReceivedExperience(body, following))
    return {"decision_id": decision_id, "stored": True}


@post("/update", UpdateBody, UpdateAnswer)
async def update(request: Request) -> Response:
    """Learn from what is stored: the losses, or how many transitions are missing."""
    server = server_of(request)
    parse(UpdateBody, await request.body())
    return json_answer(await server.update())


@post("/save", NameBody, CheckpointAnswer)
async def save(request: Request) -> Response:
    """Keep the policy, and what it needs to learn on, under a name."""
    server, body = server_of(request), parse(NameBody, await request.body())
    return json_answer({"name": body.name, "policy_version": server.save(body.name)})


@post("/load", NameBody, CheckpointAnswer)
async def load(request: Request) -> Response:
    """Serve a checkpoint that was saved under a name; a path is refused."""
    server, body = server_of(request), parse(NameBody, await request.body())
    return json_answer({"name": body.name, "policy_version": server.load(body.name)})


# What is asked at every step of every client passes FastAPI by, whose routing costs more than a small network.
DIRECT: dict[str, Callable[[PolicyServer, bytes], Awaitable[dict[str, Any]]]] = {
    "/select_action": decide,
    "/store_experience": keep,
}
