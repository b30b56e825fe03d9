"""A table of the PostgreSQL store as a queue: a collector locks the messages that it has taken until it is done.

The locks end with the connection, so the messages of a dead collector are free at once.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence

from sqlalchemy import Connection, delete, func, insert, inspect, select
from sqlalchemy.exc import SQLAlchemyError

from rl_eval.production.clock import SteadyClock
from rl_eval.production.queues.protocol import Message, QueueError, QueueFullError, missing
from rl_eval.production.store.database import Database, UnavailableError
from rl_eval.production.store.tables import metadata, queue

POLL_S = 0.05
COUNT_S = 1.0  # between counts of what waits


class PostgresQueue:
    """See `Queue`.

    Args:
        address: of the store.
        most: messages that may wait.
        create: whether a table that is missing is created.

    Raises:
        QueueError: it is away, or there is no table.
    """

    is_quick = False

    def __init__(self, address: str, most: int, create: bool = True):
        self._database, self._most = Database(address), most
        with self._translated():
            if create:
                self._database.create(metadata)
            else:
                self._require_table()
        self._holding: Connection | None = None
        self._counted = 0.0
        self._clock = SteadyClock()

    def _require_table(self) -> None:
        with self._database.reading() as connection:
            if not inspect(connection).has_table(queue.name):
                raise missing(f"{self._database.label} has no queue")

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            with self._database.translated():
                yield
        except UnavailableError as error:
            raise QueueError(str(error)) from error

    def put(self, messages: Sequence[bytes]) -> None:
        """Add messages."""
        now = self._clock.now()
        if now - self._counted > COUNT_S and (count := self.waiting()[0]) >= self._most:
            raise QueueFullError(f"{self._database.label} has {count:,} messages waiting: start a collector")
        self._counted = now
        with self._translated(), self._database.engine.begin() as connection:
            connection.execute(insert(queue), [{"at": now, "body": body} for body in messages])

    def take(self, limit: int, wait_s: float) -> list[Message]:
        """The oldest messages that no other collector has."""
        end = time.monotonic() + wait_s
        query = select(queue.c.seq, queue.c.body).order_by(queue.c.seq).limit(limit).with_for_update(skip_locked=True)
        with self._translated():
            if self._holding is None:
                self._holding = self._database.engine.connect()
            while True:
                try:
                    rows = self._holding.execute(query).all()
                except SQLAlchemyError:
                    self._let_go()
                    raise
                if rows:
                    return [Message(seq, bytes(body)) for seq, body in rows]
                self._holding.rollback()
                if time.monotonic() >= end:
                    return []
                time.sleep(POLL_S)

    def acknowledge(self, messages: Sequence[Message]) -> None:
        """Remove messages."""
        with self._translated():
            if self._holding is None:
                return  # the connection was lost: they come again
            try:
                self._holding.execute(delete(queue).where(queue.c.seq.in_([message.token for message in messages])))
                self._holding.commit()
            except SQLAlchemyError:
                self._let_go()
                raise

    def _let_go(self) -> None:
        if self._holding is not None:
            with contextlib.suppress(SQLAlchemyError):
                self._holding.close()
            self._holding = None

    def waiting(self) -> tuple[int, float | None]:
        """Count and time of the oldest."""
        with self._translated(), self._database.engine.connect() as connection:
            count, oldest = connection.execute(select(func.count(), func.min(queue.c.at))).one()
            return int(count), oldest

    def sync(self) -> None:
        """Nothing: a commit of PostgreSQL is on its disk."""

    def remove_old(self, before: float) -> int:
        """Remove old messages."""
        with self._translated(), self._database.engine.begin() as connection:
            return connection.execute(delete(queue).where(queue.c.at < before)).rowcount

    def close(self) -> None:
        """Free what was taken."""
        self._let_go()
        self._database.close()
