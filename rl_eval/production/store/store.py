"""`Store`: decisions, rewards, experience, trainings and documents."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, and_, func, insert, or_, select

from rl_eval.errors import InputError
from rl_eval.production.disk import advice
from rl_eval.production.records import Record
from rl_eval.production.store import counters, documents, erasure, tables, trainings
from rl_eval.production.store.database import Database, UnavailableError
from rl_eval.production.store.documents import Document
from rl_eval.production.store.ingest import Judge, ingest
from rl_eval.production.store.rows import Experience, Outcome
from rl_eval.production.store.tables import decisions, experience, rewards
from rl_eval.production.store.trainings import Training

ROLLOUT = "rollout"  # the document of the roll-out
LEASE_S = 600.0
POLICY = "policy"  # the row of `meta` with its name
KEY = "privacy_key"  # the row of `meta` with the fingerprint


class WrongPolicyError(InputError):
    """The store belongs to another policy."""


class WrongKeyError(InputError):
    """The store belongs to servers with another privacy key."""


class Store:
    """The store; any number of processes and threads may have it open. Each method is one transaction.

    Every method raises `UnavailableError` where the store is away, full or locked, and then nothing has changed. A
    server that is away when the store is opened is asked again by each method.

    Args:
        address: `sqlite:///FILE` or `postgresql://HOST/NAME`.
        folder: where a relative file of SQLite is.
        policy: name of the policy that the store is of, which a store that has none remembers; None: it is not asked.
        key: fingerprint of the privacy key of this process; None: it uses none.
        claims: whether a store that knows no key yet remembers this one.
        create: whether a store that is missing is created. Where not, one that cannot be opened is asked again by each
            method, as a server is.

    Raises:
        InputError: it cannot be opened, or is of another version of this program.
        WrongPolicyError: it is of another policy.
        WrongKeyError: it knows another key.
    """

    def __init__(
        self,
        address: str,
        folder: Path = Path(),
        create: bool = True,
        *,
        policy: str | None = None,
        key: str | None = None,
        claims: bool = False,
    ):
        self.database = Database(address, folder, create)
        self._create, self._policy, self._key, self._claims = create, policy, key, claims
        try:
            self._open()
        except UnavailableError:
            if self.database.file is not None and create:
                self.close()
                raise
            self.database.first = self._open
        except BaseException:
            self.close()
            raise

    def _open(self) -> None:
        file = self.database.file
        if file is not None and not self._create and not file.exists():
            what = "the store is created by serve, collect and run: put the file back, or start one of them"
            raise UnavailableError(f"{file} does not exist; {what}", "it does not exist")
        try:
            self._set_up()
        except UnavailableError as error:
            if file is None:
                raise
            what = f"{advice(file)}, or name another with collect.store"
            sentence = f"{self.database.label} cannot be opened ({error.reason}): {what}"
            raise UnavailableError(sentence, error.reason) from error

    def _set_up(self) -> None:
        if self._create:
            self.database.create(tables.metadata)
        with self.database.writing() as connection:
            row = connection.execute(select(tables.meta.c.value).where(tables.meta.c.key == "schema")).first()
            if row is None and not self._create:
                raise UnavailableError(f"{self.database.label} is not a store: put the file back", "it is not a store")
            if row is None:
                connection.execute(insert(tables.meta).values(key="schema", value=tables.SCHEMA))
            elif row[0] != tables.SCHEMA:
                raise InputError(f"{self.database.label} is of another version of this program: name another store")
            self._claim(connection)
            if self._key is not None:
                known = self._known_key(connection)
                if known is None and self._claims:
                    connection.execute(insert(tables.meta).values(key=KEY, value=self._key))
                elif known not in (None, self._key):
                    raise WrongKeyError(
                        f"{self.database.label} was made with another privacy key: use the key that its servers use"
                    )

    def _claim(self, connection: Connection) -> None:
        """Have the store belong only to this policy: another one would take over its experience and its roll-out."""
        if self._policy is None:
            return
        owner = connection.execute(select(tables.meta.c.value).where(tables.meta.c.key == POLICY)).scalar()
        if owner is None:
            connection.execute(insert(tables.meta).values(key=POLICY, value=self._policy))
        elif owner != self._policy:
            raise WrongPolicyError(
                f"{self.database.label} is the store of the policy {owner}, and this config is of {self._policy}: name "
                "another one as collect.store"
            )

    @staticmethod
    def _known_key(connection: Connection) -> str | None:
        return connection.execute(select(tables.meta.c.value).where(tables.meta.c.key == KEY)).scalar()

    def known_key(self) -> str | None:
        """The fingerprint of the privacy key of its servers; None: no server has used it."""
        with self.database.reading() as connection:
            return self._known_key(connection)

    def document(self, name: str = ROLLOUT) -> Document:
        """A document; number 0 and no body where it was never written."""
        with self.database.reading() as connection:
            return documents.read(connection, name)

    def swap_document(self, number: int, body: Mapping[str, Any], name: str = ROLLOUT) -> bool:
        """Write a document if it still has the number that was read; False where somebody else was first."""
        with self.database.writing() as connection:
            return documents.swap(connection, name, number, body)

    def now(self) -> float:
        """Seconds since 1970 by the clock of the store."""
        return self.database.now()

    def ingest(
        self,
        records: Sequence[Record],
        judge: Judge,
        received: float,
        bounds: tuple[float, float] = (-math.inf, math.inf),
    ) -> Counter[str]:
        """Store records once; see `rl_eval.production.store.ingest.ingest`."""
        with self.database.writing() as connection:
            return ingest(connection, records, judge, received, bounds)

    def counts(self) -> dict[str, int]:
        """What was stored, accepted and refused since the store began, by name."""
        with self.database.reading() as connection:
            return counters.read_counts(connection)

    def outcomes(
        self, *, after: tuple[float, str] | None = None, before: float | None = None, limit: int = 10_000
    ) -> list[Outcome]:
        """Decisions in their order, each with its reward where it has come.

        Args:
            after: time and id of the last one that was read.
            before: seconds since 1970.
        """
        table = decisions
        query = select(
            table.c.decision_id, table.c.at, table.c.unit, table.c.version, table.c.shadow, table.c.propensity,
            table.c.confidence, rewards.c.reward,
        ).outerjoin(rewards, rewards.c.decision_id == table.c.decision_id)  # fmt: skip
        if after is not None:
            query = query.where(
                or_(table.c.at > after[0], and_(table.c.at == after[0], table.c.decision_id > after[1]))
            )
        if before is not None:
            query = query.where(table.c.at < before)
        with self.database.reading() as connection:
            rows = connection.execute(query.order_by(table.c.at, table.c.decision_id).limit(limit)).all()
        return [Outcome(*row[:4], bool(row[4]), *row[5:]) for row in rows]

    def accepted(self, *, before: int | None = None, limit: int | None = None) -> list[Experience]:
        """Accepted experience in the order of acceptance, whether a training has it or not.

        Args:
            before: a number of experience; None: all.
            limit: the latest of them; None: all.
        """
        conditions = () if before is None else (experience.c.seq < before,)
        with self.database.reading() as connection:
            return trainings.experiences(connection, *conditions, limit=limit)

    def waiting(self) -> int:
        """How much accepted experience no training has."""
        free = (experience.c.training.is_(None), experience.c.refused.is_(None))
        with self.database.reading() as connection:
            return connection.execute(select(func.count()).select_from(experience).where(*free)).scalar_one()

    def start_training(
        self, kind: str, *, now: float | None = None, lease: float = LEASE_S, most: int | None = None
    ) -> Training:
        """Begin a training with all accepted experience that none has, or take over one that fell silent.

        Raises:
            TrainingRunningError: one is running.
        """
        with self.database.writing() as connection:
            return trainings.start(connection, kind, time.time() if now is None else now, lease, most)

    def experiences_of(self, training: Training) -> list[Experience]:
        """The experience of a training, the same after a takeover."""
        with self.database.reading() as connection:
            return trainings.experiences(connection, experience.c.training == training.id)

    def renew_training(self, training: Training, *, now: float | None = None) -> None:
        """Say that a training is alive, more often than its lease lasts.

        Raises:
            TrainingLostError: somebody else has it.
        """
        with self.database.writing() as connection:
            trainings.renew(connection, training, time.time() if now is None else now)

    def finish_training(
        self, training: Training, result: Mapping[str, Any], *, failed: bool = False, now: float | None = None
    ) -> None:
        """End a training, once; what it has learned counts from here on. The experience of one that failed is free.

        Args:
            result: JSON values.

        Raises:
            TrainingLostError: somebody else has it, or has finished it.
        """
        with self.database.writing() as connection:
            trainings.finish(connection, training, time.time() if now is None else now, result, failed=failed)

    def trainings(self, limit: int = 100) -> list[Training]:
        """The latest trainings, the newest first."""
        with self.database.reading() as connection:
            return trainings.latest(connection, limit)

    def erase(self, unit: str, *, now: float | None = None) -> int:
        """Remove everything of a pseudonym from every file of the store; returns how many decisions there were."""
        with self.database.writing() as connection:
            count = erasure.erase_unit(connection, unit, time.time() if now is None else now)
        self.database.forget(tables.metadata)
        return count

    def erased_at(self, unit: str) -> float | None:
        """When a pseudonym was erased, in seconds since 1970; None: never."""
        with self.database.reading() as connection:
            return erasure.erased_at(connection, unit)

    def remove_old(self, now: float, retention: float) -> int:
        """Remove what is older than `retention` seconds from every file of the store; returns how many decisions."""
        total = 0
        while True:
            with self.database.writing() as connection:
                total += (count := erasure.remove_old(connection, now, retention))
            if not count:
                break
        if total:
            self.database.forget(tables.metadata)
        return total

    def remove_orphans(self, since: float, until: float) -> int:
        """Remove rewards that were received in that time for decisions that nobody made; returns how many."""
        with self.database.writing() as connection:
            return erasure.remove_orphans(connection, since, until)

    def close(self) -> None:
        """Close all connections."""
        self.database.close()
