"""Requests decided by champion and challenger, row by row, and their records."""

from __future__ import annotations

import dataclasses
import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rl_eval.production.records import LoggedDecision
from rl_eval.production.server.arms import Arm, Arms
from rl_eval.serving.deciding import decide_together, rows_of
from rl_eval.serving.requests import Observation, SelectRequest
from rl_eval.serving.served_policy import Decisions

log = logging.getLogger(__name__)
ROW_S = 1e-6  # between the decisions of a request; floats of today's time are no finer than a quarter of it
SHADOW = "~shadow"  # ends the id of a decision that nobody acted on


@dataclass(frozen=True)
class Part:
    """Rows of a request that one arm decides about."""

    index: int
    rows: np.ndarray | None  # None: all
    request: SelectRequest


@dataclass
class Answered:
    """The answer to one request.

    Attributes:
        versions: one for each row.
        records: empty where the request is not recorded.
    """

    decided: Decisions
    versions: list[str]
    ids: list[str] | None
    records: list[LoggedDecision]


Count = Callable[[str, int, int, float], None]  # version, decisions, errors, seconds


def decide(
    requests: Sequence[SelectRequest],
    arms: Arms,
    rng: np.random.Generator,
    now: float,
    new_ids: Callable[[int], list[str]],
    count: Count,
) -> list[Answered | Exception]:
    """Answers in the order of the requests, each of which may be an error of its own.

    Args:
        requests: their units are pseudonyms.
        now: seconds since 1970.
        count: is called with what each arm did.
    """
    ids = [new_ids(len(request.observation.rows)) for request in requests]
    parts = _parts(requests, ids, arms)
    answers: list[list[tuple[Part, Arm, Decisions]] | Exception] = [[] for _ in requests]
    for arm, own in parts:
        for part, decider, answer in _decided(own, arm, arms, rng, count):
            so_far = answers[part.index]
            if isinstance(so_far, Exception):
                continue
            if isinstance(answer, Exception):
                answers[part.index] = answer
            else:
                so_far.append((part, decider, answer))
    results = [
        answer if isinstance(answer, Exception) else _merged(request, own_ids, answer, now)
        for request, own_ids, answer in zip(requests, ids, answers, strict=True)
    ]
    if arms.shadow and arms.challenger is not None:
        _add_shadow(requests, ids, results, arms.challenger, rng, now, count)
    return results


def _parts(requests: Sequence[SelectRequest], ids: Sequence[list[str]], arms: Arms) -> list[tuple[Arm, list[Part]]]:
    everything = [Part(index, None, request) for index, request in enumerate(requests)]
    if arms.challenger is None or arms.shadow or arms.share <= 0:
        return [(arms.champion, everything)]
    champion: list[Part] = []
    challenger: list[Part] = []
    for part, own_ids in zip(everything, ids, strict=True):
        # Without a unit, each decision is a unit of its own.
        units = part.request.units or own_ids
        chosen = np.array([arms.is_challenger(unit) for unit in units])
        if chosen.all() or not chosen.any():
            (challenger if chosen.all() else champion).append(part)
            continue
        for arm_parts, rows in ((champion, np.flatnonzero(~chosen)), (challenger, np.flatnonzero(chosen))):
            arm_parts.append(Part(part.index, rows, _some(part.request, rows)))
    return [(arms.champion, champion), (arms.challenger, challenger)]


def _some(request: SelectRequest, rows: np.ndarray) -> SelectRequest:
    observation = request.observation
    mask = None if observation.mask is None else observation.mask[rows]
    units = None if request.units is None else [request.units[row] for row in rows]
    return dataclasses.replace(
        request, observation=Observation(observation.rows[rows], mask, observation.single), units=units
    )


def _decided(
    parts: Sequence[Part], arm: Arm, arms: Arms, rng: np.random.Generator, count: Count
) -> list[tuple[Part, Arm, Decisions | Exception]]:
    """What an arm decides. The champion decides where the challenger fails."""
    if not parts:
        return []
    started = time.perf_counter()
    rows = sum(len(part.request.observation.rows) for part in parts)
    try:
        answers: Sequence[Decisions | Exception] = decide_together([part.request for part in parts], arm.served, rng)
    except Exception as error:
        if arm is arms.champion:
            raise
        log.warning("version %s fails (%s): the champion decides", arm.version, type(error).__name__)
        answers = [error] * len(parts)
    failed = [part for part, answer in zip(parts, answers, strict=True) if isinstance(answer, Exception)]
    errors = sum(len(part.request.observation.rows) for part in failed)
    count(arm.version, rows, errors, time.perf_counter() - started)
    if failed and arm is not arms.champion:
        decided = [(p, arm, a) for p, a in zip(parts, answers, strict=True) if not isinstance(a, Exception)]
        return [*decided, *_decided(failed, arms.champion, arms, rng, count)]
    return [(part, arm, answer) for part, answer in zip(parts, answers, strict=True)]


def _merged(
    request: SelectRequest, ids: list[str], answers: Sequence[tuple[Part, Arm, Decisions]], now: float
) -> Answered:
    size = len(request.observation.rows)
    versions = [""] * size
    records: list[LoggedDecision] = []
    for part, arm, decided in answers:
        rows = range(size) if part.rows is None else part.rows.tolist()
        for row in rows:
            versions[row] = arm.version
        if request.record:
            records += _records(part.request, decided, arm, ids, rows, now)
    merged = answers[0][2] if len(answers) == 1 else _together(answers, size)
    return Answered(merged, versions, ids if request.record else None, records)


def _together(answers: Sequence[tuple[Part, Arm, Decisions]], size: int) -> Decisions:
    """The decisions of two arms in the order of their rows; what one of them does not say is None."""
    order = np.argsort(np.concatenate([part.rows for part, _, _ in answers if part.rows is not None]))
    columns: dict[str, Any] = {}
    for field in dataclasses.fields(Decisions):
        arrays = [getattr(decided, field.name) for _, _, decided in answers]
        columns[field.name] = None if any(a is None for a in arrays) else np.concatenate(arrays)[order]
    return Decisions(**columns)


def _records(
    request: SelectRequest,
    decided: Decisions,
    arm: Arm,
    ids: Sequence[str],
    rows: Sequence[int],
    now: float,
    shadow: bool = False,
) -> list[LoggedDecision]:
    """Records of the rows that an arm decided about; the rows of a request stay in their order."""
    probability = None if decided.probability is None else decided.probability.tolist()
    return [
        LoggedDecision(
            decision_id=ids[number],
            at=now + number * ROW_S,
            unit=row.unit,
            version=arm.version,
            observation=row.observation,
            mask=row.mask,
            action=row.action,
            propensity=_propensity(row.log_prob) if probability is None else probability[index],
            confidence=row.confidence,
            value=row.value,
            shadow=shadow,
        )
        for index, (number, row) in enumerate(zip(rows, rows_of(request, decided, arm.served), strict=True))
    ]


def _propensity(log_density: float | None) -> float | None:
    return None if log_density is None else math.exp(min(log_density, 600.0))


def _add_shadow(
    requests: Sequence[SelectRequest],
    ids: Sequence[list[str]],
    results: Sequence[Answered | Exception],
    challenger: Arm,
    rng: np.random.Generator,
    now: float,
    count: Count,
) -> None:
    """Let the challenger decide as well; no matter what it does, no answer changes."""
    asked = [index for index, result in enumerate(results) if isinstance(result, Answered) and requests[index].record]
    if not asked:
        return
    started = time.perf_counter()
    try:
        answers: Sequence[Decisions | Exception] = decide_together(
            [requests[index] for index in asked], challenger.served, rng
        )
    except Exception as error:
        answers = [error] * len(asked)
    rows = errors = 0
    for index, answer in zip(asked, answers, strict=True):
        rows += len(ids[index])
        if isinstance(answer, Exception):
            errors += len(ids[index])
            continue
        own = [f"{one}{SHADOW}" for one in ids[index]]
        result = results[index]
        assert isinstance(result, Answered)
        result.records += _records(requests[index], answer, challenger, own, range(len(own)), now, shadow=True)
    count(challenger.version, rows, errors, time.perf_counter() - started)
