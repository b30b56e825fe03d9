"""Human review: calibrates the bound for each champion, and puts decisions that are not above it into the queue."""

from __future__ import annotations

import datetime
from typing import Any

import numpy as np

from rl_eval.production import review_queue
from rl_eval.production.loop.versions import champion_number
from rl_eval.production.parts import Parts
from rl_eval.production.review import ReviewBound, calibrate
from rl_eval.production.watch.figures import BOUND

LEAST, MOST = 200, 20_000  # decisions that calibrate
GROWTH = 2.0  # calibrated again once there are so many times its decisions
PAGE = 5_000
LOOKED_AT = "review_looked_at"  # the last decision that was looked at


def calibrate_champion(parts: Parts, now: float) -> ReviewBound | None:
    """The bound of the champion, calibrated on what came of its own decisions since it was trained.

    Returns:
        None where nothing says which decisions were wrong, or there are too few yet.
    """
    if parts.config.loop.wrong_below is None:
        return None
    number = champion_number(parts)
    document = parts.store.document(BOUND)
    body = document.body
    same = body.get("champion") == number
    rewards = parts.store.counts().get("rewards", 0)
    if same and rewards - body["rewards"] < (GROWTH - 1) * body["decisions"]:
        return _bound(body)  # before anything else is read: this is done in every turn
    champion = parts.registry.version(number)
    registered = datetime.datetime.fromisoformat(champion.at).timestamp()
    since = max(registered, now - parts.config.privacy.retention)
    outcomes = [
        outcome
        for outcome in parts.store.outcomes(after=(since, ""), limit=MOST)
        if outcome.version in (champion.lineage.policy, str(number))
        and outcome.reward is not None
        and outcome.confidence is not None
        and not outcome.shadow
    ]
    if len(outcomes) < LEAST or (same and len(outcomes) < GROWTH * body["decisions"]):
        return _bound(body) if same else None
    section = parts.config.review
    bound = calibrate(
        np.array([outcome.confidence for outcome in outcomes]),
        np.array([(outcome.reward or 0.0) < parts.config.loop.wrong_below for outcome in outcomes]),
        error=section.error, delta=section.delta, coverage=section.coverage,
    )  # fmt: skip
    values = {**bound.to_json(), "champion": number, "policy": champion.lineage.policy, "at": now,
              "rewards": rewards}  # fmt: skip
    if parts.store.swap_document(document.number, values, BOUND):
        parts.audit.append("review_bound", "loop", values)
    return bound


def _bound(body: dict[str, Any]) -> ReviewBound:
    fields = ("threshold", "error", "delta", "decisions", "alone", "wrong")
    return ReviewBound.from_json({name: body[name] for name in fields})


def ask_people(parts: Parts, bound: ReviewBound, now: float) -> int:
    """Put what the bound does not cover into the queue, up to its limit; returns how many are new.

    Decisions are looked at in their order, from the first bound on; where that stands is in the store.

    Args:
        now: seconds since 1970.
    """
    document = parts.store.document(LOOKED_AT)
    since = (document.body["at"], document.body["id"]) if document.number else (now, "")
    room = parts.config.loop.most_reviews - review_queue.counts(parts.store).get(review_queue.WAITING, 0)
    asked, (at, last) = review_queue.below(parts.store, bound, since, PAGE)
    new = review_queue.ask(parts.store, asked[: max(room, 0)])
    if (at, last) != since or not document.number:
        parts.store.swap_document(document.number, {"at": at, "id": last}, LOOKED_AT)
    return new
