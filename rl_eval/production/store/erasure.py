"""What leaves the store: everything older than the retention, and everything of one person."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from sqlalchemy import Connection, and_, delete, exists, func, insert, or_, select

from rl_eval.production.records import LoggedDecision, Record
from rl_eval.production.store.counters import add_counts
from rl_eval.production.store.rows import chunks
from rl_eval.production.store.tables import decisions, erased, experience, reviews, rewards


def mark(identifier: str) -> str:
    """The hash that is kept of an erased pseudonym or decision id, so that it is not in the store."""
    return hashlib.blake2b(identifier.encode(), digest_size=16, person=b"rl_eval erased").hexdigest()


def without_erased(connection: Connection, records: Sequence[Record]) -> Sequence[Record]:
    """Those records that are of nobody who was erased after they were made."""
    if connection.execute(select(erased.c.id).limit(1)).first() is None:
        return records
    marks = {record.decision_id: mark(record.decision_id) for record in records}
    marks |= {r.unit: mark(r.unit) for r in records if isinstance(r, LoggedDecision) and r.unit is not None}
    at = {
        identifier: moment
        for some in chunks(set(marks.values()))
        for identifier, moment in connection.execute(select(erased.c.id, erased.c.at).where(erased.c.id.in_(some)))
    }

    def is_erased(record: Record) -> bool:
        if marks[record.decision_id] in at:
            return True
        unit = record.unit if isinstance(record, LoggedDecision) else None
        return unit is not None and record.at <= at.get(marks[unit], float("-inf"))

    # A reward next to an erased decision is removed with it.
    gone = {record.decision_id for record in records if is_erased(record)}
    return [record for record in records if record.decision_id not in gone]


def erase_unit(connection: Connection, unit: str, now: float) -> int:
    """Remove everything of a pseudonym, and refuse what arrives later of decisions up to now.

    Returns:
        How many decisions there were.
    """
    # Where a clock was set back, what is stored already is of before, too.
    now = max(now, connection.execute(select(func.max(decisions.c.at))).scalar() or now)
    ids = list(connection.execute(select(decisions.c.decision_id).where(decisions.c.unit == unit)).scalars())
    for identifiers in chunks([unit, *ids]):
        marks = [mark(identifier) for identifier in identifiers]
        connection.execute(delete(erased).where(erased.c.id.in_(marks)))
        connection.execute(insert(erased), [{"id": one, "at": now} for one in marks])
    _remove(connection, ids)
    return len(ids)


def erased_at(connection: Connection, unit: str) -> float | None:
    """When a pseudonym was erased."""
    return connection.execute(select(erased.c.at).where(erased.c.id == mark(unit))).scalar()


def _remove(connection: Connection, ids: Sequence[str]) -> None:
    for some in chunks(ids):
        for table in (experience, rewards, reviews, decisions):
            connection.execute(delete(table).where(table.c.decision_id.in_(some)))


def remove_old(connection: Connection, now: float, retention: float, limit: int = 10_000) -> int:
    """Remove what is older than the retention, at most `limit` decisions; returns how many were removed.

    Something is old by either clock: that of the server which made it, or that of the collector which stored it.
    """
    before = now - retention
    old = or_(decisions.c.at < before, decisions.c.received < before)
    ids = list(connection.execute(select(decisions.c.decision_id).where(old).limit(limit)).scalars())
    missing = 0
    for some in chunks(ids):
        without = ~exists().where(rewards.c.decision_id == decisions.c.decision_id)
        query = select(func.count()).select_from(decisions)
        chosen = and_(decisions.c.decision_id.in_(some), ~decisions.c.shadow, without)
        missing += connection.execute(query.where(chosen)).scalar_one()
    _remove(connection, ids)
    add_counts(connection, {"refused.no_reward": missing, "expired": len(ids)})
    connection.execute(delete(rewards).where(or_(rewards.c.received < before, rewards.c.at < before)))
    connection.execute(delete(experience).where(experience.c.received < before))
    connection.execute(delete(reviews).where(reviews.c.at < before))
    connection.execute(delete(erased).where(erased.c.at < before))
    return len(ids)


def remove_orphans(connection: Connection, since: float, until: float) -> int:
    """Remove rewards of decisions that nobody made, among those received from `since` to `until`; returns how many."""
    made = exists().where(decisions.c.decision_id == rewards.c.decision_id)
    chosen = and_(rewards.c.received >= since, rewards.c.received < until, ~made)
    count = connection.execute(delete(rewards).where(chosen)).rowcount
    add_counts(connection, {"refused.unknown_decision": count})
    return count
