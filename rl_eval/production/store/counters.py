"""Counts that outlive processes: what was stored, accepted and refused, by name."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection, insert, select, update

from rl_eval.production.store.tables import counters


def add_counts(connection: Connection, counts: Mapping[str, int]) -> None:
    """Add to counts; inside a transaction that writes."""
    stored = set(connection.execute(select(counters.c.name).where(counters.c.name.in_(list(counts)))).scalars())
    for name, count in counts.items():
        if count and name in stored:
            change = update(counters).where(counters.c.name == name)
            connection.execute(change.values(count=counters.c.count + count))
        elif count:
            connection.execute(insert(counters).values(name=name, count=count))


def read_counts(connection: Connection) -> dict[str, int]:
    """All counts by name."""
    return {name: int(count) for name, count in connection.execute(select(counters).order_by(counters.c.name))}
