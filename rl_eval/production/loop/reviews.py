"""Human review: a bound for each champion, and the queue of decisions that are not above it."""

from __future__ import annotations

import datetime
from typing import Any

import numpy as np

from rl_eval.production import review_queue
from rl_eval.production.loop.versions import champion_number
from rl_eval.production.parts import Parts
from rl_eval.production.registry import CHALLENGER, CHAMPION
from rl_eval.production.review import ReviewBound, calibrate
from rl_eval.production.review_queue import LOOKED_AT
from rl_eval.production.watch.figures import BOUND
from rl_eval.production.watch.overrides import complete_overrides

LEAST, MOST = 200, 20_000  # decisions that calibrate
GROWTH = 2.0  # calibrated again once there are so many times its decisions
PAGE = 5_000
SETTLED = "review_settled"  # for which versions and bound the queue was last gone through


def calibrate_champion(parts: Parts, now: float) -> ReviewBound | None:
    """The bound of the champion, calibrated on the outcomes of its own decisions since it was trained.

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


def update_queue(parts: Parts, now: float) -> int:
    """Complete overrides, calibrate the bound, and let decisions leave the queue and enter it.

    Those leave it that need no person any more.

    Args:
        now: seconds since 1970.

    Returns:
        How many are new.
    """
    complete_overrides(parts)
    if parts.config.loop.wrong_below is None:
        return 0
    bound = calibrate_champion(parts, now)
    versions = _settle(parts, bound)
    return 0 if bound is None else _ask_people(parts, bound, versions, now)


def _settle(parts: Parts, bound: ReviewBound | None) -> list[str]:
    """What waits no longer where the champion, the challenger or the bound has changed; returns whose decisions may.

    Decisions name their version by its number or its policy.
    """
    aliases = parts.registry.aliases()
    about = [aliases.get(CHAMPION), aliases.get(CHALLENGER), None if bound is None else bound.decisions]
    document = parts.store.document(SETTLED)
    if document.body.get("about") == about:  # the rest is read once for each change, and not in every turn
        return document.body["versions"]
    policies = {number: parts.registry.version(number).lineage.policy for number in aliases.values()}
    versions = sorted({name for number, policy in policies.items() for name in (str(number), policy) if name})
    if gone := review_queue.unneeded(parts.store, bound, versions):
        facts = {"left": len(gone), "champion": about[0], "challenger": about[1],
                 "threshold": None if bound is None else bound.threshold}  # fmt: skip
        parts.audit.append("review_left", "loop", facts)
        review_queue.leave(parts.store, gone)
    parts.store.swap_document(document.number, {"about": about, "versions": versions}, SETTLED)
    return versions


def _ask_people(parts: Parts, bound: ReviewBound, versions: list[str], now: float) -> int:
    """Put what the bound does not cover into the queue; where it is full, the newest replace the oldest.

    Decisions are looked at in their order, from the first bound on; the store knows how far that is.
    """
    document, most = parts.store.document(LOOKED_AT), parts.config.loop.most_reviews
    since = (document.body["at"], document.body["id"]) if document.number else (now, "")
    asked, (at, last) = review_queue.below(parts.store, bound, versions, since, PAGE)
    new = review_queue.ask(parts.store, asked[-most:])
    more = review_queue.counts(parts.store).get(review_queue.WAITING, 0) - most
    if more > 0:
        review_queue.leave(parts.store, review_queue.oldest(parts.store, more))
    if (at, last) != since or not document.number:
        parts.store.swap_document(document.number, {"at": at, "id": last}, LOOKED_AT)
    return new
