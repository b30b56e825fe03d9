"""Decisions that wait for a person, and what the person decided; rows of the store.

A person's override is written in three steps: the row says what is decided (`deciding`), the audit log gets its line,
and the row is `decided`. A process that finds a row that is still `deciding` completes it, so it does not matter where
a process ended.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sqlalchemy import Connection, Select, and_, delete, func, insert, or_, select, update

from rl_eval.errors import InputError
from rl_eval.production.review import Override, ReviewBound
from rl_eval.production.store import Store
from rl_eval.production.store.counters import add_counts
from rl_eval.production.store.rows import chunks
from rl_eval.production.store.tables import decisions, reviews

WAITING, DECIDING, DECIDED = "waiting", "deciding", "decided"
LOOKED_AT = "review_looked_at"  # the document of the last decision that was looked at, in the order of decisions
LEFT = "reviews_left"  # the counter of decisions that left the queue without a person
MAX_REASON = 2_000  # characters
MOST_NUMBERS = 1_000  # of an observation that a person is shown
_OLDEST_FIRST = (reviews.c.at, reviews.c.decision_id)


@dataclass(frozen=True)
class Review:
    """A decision that a person was asked about.

    Attributes:
        at: seconds since 1970, of the decision.
        action: what the policy chose, from 0; or a list where actions are not numbered.
        confidence: of the policy; None where it states none.
        override: what the person decided; None until it counts.
        observation: what the policy decided on, as it is kept: coarsened, hashed or dropped by the privacy policy. At
            most `MOST_NUMBERS`; empty where the decision is no longer kept.
        legal: which actions were legal; None: all.
    """

    decision_id: str
    at: float
    version: str
    action: Any
    confidence: float | None
    state: str = WAITING
    override: Override | None = None
    observation: tuple[float, ...] = ()
    legal: tuple[bool, ...] | None = None


class ReviewedError(InputError):
    """Somebody has decided already, or nobody was asked."""


def below(
    store: Store, bound: ReviewBound, versions: Collection[str], after: tuple[float, str], limit: int
) -> tuple[list[Review], tuple[float, str]]:
    """The decisions among the next `limit` that a person has to see, and the last one that was looked at.

    Args:
        versions: whose decisions a person sees.
        after: time and id of the last one that was looked at before.

    Raises:
        UnavailableError: the store is away.
    """
    table = decisions.c
    later = or_(table.at > after[0], and_(table.at == after[0], table.decision_id > after[1]))
    query = select(table.decision_id, table.at, table.version, table.action, table.confidence, table.shadow)
    with store.database.reading() as connection:
        rows = connection.execute(query.where(later).order_by(table.at, table.decision_id).limit(limit)).all()
    reviews = [
        Review(row[0], row[1], row[2], _action(bytes(row[3])), row[4])
        for row in rows
        if not row[5] and row[2] in versions and bound.needs_review(row[4])
    ]
    return reviews, ((rows[-1][1], rows[-1][0]) if rows else after)


def _action(content: bytes) -> Any:
    """A number from 0, or the list of a continuous one."""
    if len(content) == 8:
        return int(np.frombuffer(content, np.int64)[0])
    return np.frombuffer(content, np.float32).tolist() if len(content) % 4 == 0 else None


def ask(store: Store, asked: Sequence[Review]) -> int:
    """Put decisions into the queue, each once; returns how many are new.

    Raises:
        UnavailableError: the store is away.
    """
    new = {review.decision_id: review for review in asked}
    with store.database.writing() as connection:
        for some in chunks(list(new)):
            query = select(reviews.c.decision_id).where(reviews.c.decision_id.in_(some))
            for (stored,) in connection.execute(query).all():
                del new[stored]
        if new:
            connection.execute(insert(reviews), [_row(review) for review in new.values()])
    return len(new)


def _row(review: Review) -> dict[str, Any]:
    body = {"version": review.version, "action": review.action, "confidence": review.confidence}
    return {"decision_id": review.decision_id, "at": review.at, "state": WAITING, "body": json.dumps(body)}


def unneeded(store: Store, bound: ReviewBound | None, versions: Collection[str]) -> list[str]:
    """The ids of what waits and needs no person any more: of other versions, or above the bound.

    Args:
        bound: None: none is calibrated.

    Raises:
        UnavailableError: the store is away.
    """
    query = select(reviews.c.decision_id, reviews.c.body).where(reviews.c.state == WAITING)
    with store.database.reading() as connection:
        bodies = [(decision_id, json.loads(body)) for decision_id, body in connection.execute(query)]
    return [
        decision_id
        for decision_id, body in bodies
        if body["version"] not in versions or (bound is not None and not bound.needs_review(body["confidence"]))
    ]


def oldest(store: Store, count: int) -> list[str]:
    """The ids of the decisions that have waited for the longest.

    Raises:
        UnavailableError: the store is away.
    """
    query = select(reviews.c.decision_id).where(reviews.c.state == WAITING)
    with store.database.reading() as connection:
        return list(connection.execute(query.order_by(*_OLDEST_FIRST).limit(count)).scalars())


def leave(store: Store, ids: Sequence[str]) -> int:
    """Take decisions that wait out of the queue, so that the policy's count; returns how many did.

    Raises:
        UnavailableError: the store is away.
    """
    if not ids:
        return 0
    count = 0
    with store.database.writing() as connection:
        for some in chunks(ids):
            chosen = and_(reviews.c.decision_id.in_(some), reviews.c.state == WAITING)
            count += connection.execute(delete(reviews).where(chosen)).rowcount
        add_counts(connection, {LEFT: count})
    return count


def waiting(store: Store, limit: int = 50, offset: int = 0) -> list[Review]:
    """The decisions that wait, the oldest first.

    Raises:
        UnavailableError: the store is away.
    """
    query = _with_decisions().where(reviews.c.state == WAITING).order_by(*_OLDEST_FIRST)
    with store.database.reading() as connection:
        return [_review(row) for row in connection.execute(query.limit(limit).offset(offset))]


def _with_decisions() -> Select[Any]:
    joined = reviews.outerjoin(decisions, decisions.c.decision_id == reviews.c.decision_id)
    return select(reviews, decisions.c.observation, decisions.c.mask).select_from(joined)


def counts(store: Store) -> dict[str, int]:
    """State -> how many.

    Raises:
        UnavailableError: the store is away.
    """
    query = select(reviews.c.state, func.count()).group_by(reviews.c.state)
    with store.database.reading() as connection:
        return {state: int(count) for state, count in connection.execute(query)}


def read(store: Store, decision_id: str) -> Review | None:
    """One decision; None where nobody was asked.

    Raises:
        UnavailableError: the store is away.
    """
    with store.database.reading() as connection:
        row = connection.execute(_with_decisions().where(reviews.c.decision_id == decision_id)).first()
    return None if row is None else _review(row)


def is_looked_at(store: Store, decision_id: str) -> bool | None:
    """Whether a decision was looked at, or never will be, since it is from before the first bound.

    Ask this first, and for its row afterwards: a row is there before its decision counts as looked at.

    Returns:
        None: the decision is not in the store: it has not come yet, or is no longer kept.

    Raises:
        UnavailableError: the store is away.
    """
    last = store.document(LOOKED_AT)
    query = select(decisions.c.at).where(decisions.c.decision_id == decision_id)
    with store.database.reading() as connection:
        at = connection.execute(query).scalar()
    if at is None:
        return None
    return not last.number or (at, decision_id) <= (last.body["at"], last.body["id"])


def intend(
    store: Store, decision_id: str, action: Any, reviewer: str, at: float, reason: str = "", log_size: int = 0
) -> Override:
    """Keep what a person decided; nobody else can decide any more. It counts once `complete` was called.

    Args:
        at: seconds since 1970.
        log_size: bytes of the audit log now, before which its line is not.

    Raises:
        ReviewedError: nobody was asked about it, or somebody has decided.
        InputError: no reviewer, or a text that is too long.
        UnavailableError: the store is away.
    """
    with store.database.writing() as connection:
        row = _row_of(connection, decision_id)
        override = _override(row, decision_id, action, reviewer, at, reason)
        assert row is not None
        body = {**json.loads(row.body), "override": override.to_json(), "log_size": log_size}
        _change(connection, decision_id, state=DECIDING, resolved=at, by=override.reviewer, body=json.dumps(body))
    return override


def complete(store: Store, decision_id: str, log: Callable[[Override, int], Any]) -> None:
    """Have what a person decided count from here on, no matter what the policy chose; nothing where it counts already.

    Args:
        log: is called before, while nobody else can complete it, with `log_size`; what it raises is raised, and nothing
            counts.

    Raises:
        UnavailableError: the store is away.
    """
    with store.database.writing() as connection:
        row = _row_of(connection, decision_id)
        if row is None or row.state != DECIDING:
            return
        body = json.loads(row.body)
        log(Override(**body["override"]), body.pop("log_size"))
        _change(connection, decision_id, state=DECIDED, body=json.dumps(body))


def withdraw(store: Store, decision_id: str) -> None:
    """Have a decision wait again where what a person decided does not count.

    Raises:
        UnavailableError: the store is away.
    """
    with store.database.writing() as connection:
        row = _row_of(connection, decision_id)
        if row is not None and row.state == DECIDING:
            body = {name: value for name, value in json.loads(row.body).items() if name not in ("override", "log_size")}
            _change(connection, decision_id, state=WAITING, resolved=None, by=None, body=json.dumps(body))


def incomplete(store: Store) -> list[str]:
    """The ids of what people decided and does not count yet, since a process ended or a part was away.

    Raises:
        UnavailableError: the store is away.
    """
    with store.database.reading() as connection:
        return list(connection.execute(select(reviews.c.decision_id).where(reviews.c.state == DECIDING)).scalars())


def _row_of(connection: Connection, decision_id: str) -> Any:
    return connection.execute(select(reviews).where(reviews.c.decision_id == decision_id)).first()


def _change(connection: Connection, decision_id: str, **values: Any) -> None:
    connection.execute(update(reviews).where(reviews.c.decision_id == decision_id).values(**values))


def _override(row: Any, decision_id: str, action: Any, reviewer: str, at: float, reason: str) -> Override:
    if len(reason) > MAX_REASON or len(reviewer) > 200:
        raise InputError(f"a reason has at most {MAX_REASON:,} characters and a reviewer's name 200: shorten it")
    if row is None:
        raise ReviewedError(
            f"decision {decision_id[:80]!r} does not wait for a person, or no longer: name one that does"
        )
    if row.state != WAITING:
        raise ReviewedError(f"decision {decision_id} was decided by {row.by}: that decision counts")
    return Override(decision_id, json.loads(row.body)["action"], action, reviewer.strip(), at, reason.strip())


def _review(row: Any) -> Review:
    body: Mapping[str, Any] = json.loads(row.body)
    override = Override(**body["override"]) if row.state == DECIDED else None
    observation = np.frombuffer(row.observation or b"", np.float32)[:MOST_NUMBERS]
    legal = None if row.mask is None else tuple(number == 1 for number in bytes(row.mask))
    return Review(
        row.decision_id, row.at, body["version"], body["action"], body["confidence"], row.state, override,
        tuple(observation.tolist()), legal,
    )  # fmt: skip
