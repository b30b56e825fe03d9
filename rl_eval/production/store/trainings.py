"""Trainings: which experience each has, so that none is trained twice and no two run at once."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, func, insert, select, update

from rl_eval.errors import InputError
from rl_eval.production.store.rows import DECISION, REWARD, Experience, decision_of, reward_of
from rl_eval.production.store.tables import decisions, experience, rewards, trainings

RUNNING, DONE, FAILED = "running", "done", "failed"
MAX_RESULT = 1 << 20  # characters


class TrainingRunningError(InputError):
    """Another training is at work."""


class TrainingLostError(InputError):
    """Somebody else has taken the training over, since this one was silent for too long."""


@dataclass(frozen=True)
class Training:
    """A training and its experience.

    Attributes:
        id: the same after a takeover.
        owner: of this process; another one after a takeover.
        taken_over: whether an earlier process began it and fell silent.
        first_seq, last_seq: of its experience.
        experiences: how many it has; `Store.experiences_of` reads them.
    """

    id: int
    kind: str
    owner: str
    state: str
    started: float
    finished: float | None
    first_seq: int
    last_seq: int
    experiences: int
    result: Mapping[str, Any] | None = None
    taken_over: bool = False

    @property
    def name(self) -> str:
        """The same after a takeover, and another one in a new store: name what is trained by it, so it exists once."""
        return f"{self.id}_{round(self.started * 1000)}"


def start(connection: Connection, kind: str, now: float, lease: float, most: int | None) -> Training:
    """Begin a training with all accepted experience that no training has, or take over one that fell silent.

    Args:
        lease: seconds after its last sign of life in which nobody else takes a training over.
        most: experience that it takes at most, the oldest first.

    Raises:
        TrainingRunningError: one is running.
    """
    owner = secrets.token_hex(16)
    running = connection.execute(select(trainings).where(trainings.c.state == RUNNING)).first()
    if running is not None:
        # A clock that was set back does not keep a dead one alive for ever.
        if abs(now - running.renewed) < lease:
            raise TrainingRunningError(f"training {running.id} is running: wait until it has finished")
        connection.execute(update(trainings).where(trainings.c.id == running.id).values(owner=owner, renewed=now))
        return _training(running, owner=owner, taken_over=True)
    free = (experience.c.training.is_(None), experience.c.refused.is_(None))
    chosen = select(experience.c.seq).where(*free).order_by(experience.c.seq)
    inner = (chosen if most is None else chosen.limit(most)).subquery()
    count, first, last = connection.execute(
        select(func.count(), func.min(inner.c.seq), func.max(inner.c.seq)).select_from(inner)
    ).one()
    values = {
        "kind": kind, "owner": owner, "state": RUNNING, "started": now, "renewed": now, "first_seq": first or 0,
        "last_seq": last or 0, "experiences": count,
    }  # fmt: skip
    number = connection.execute(insert(trainings).values(**values).returning(trainings.c.id)).scalar_one()
    if count:
        connection.execute(update(experience).where(*free, experience.c.seq <= last).values(training=number))
    return Training(number, kind, owner, RUNNING, now, None, first or 0, last or 0, count)


def renew(connection: Connection, training: Training, now: float) -> None:
    """Say that a training is alive.

    Raises:
        TrainingLostError: somebody else has it.
    """
    _change(connection, training, renewed=now)


def finish(
    connection: Connection, training: Training, now: float, result: Mapping[str, Any], *, failed: bool = False
) -> None:
    """End a training. The experience of one that failed is free again.

    Raises:
        TrainingLostError: somebody else has it, or has finished it.
    """
    text = json.dumps(result, allow_nan=False, sort_keys=True)
    if len(text) > MAX_RESULT:
        raise InputError(f"the result of training {training.id} has {len(text):,} characters: {MAX_RESULT:,} at most")
    _change(connection, training, state=FAILED if failed else DONE, finished=now, result=text)
    if failed:
        connection.execute(update(experience).where(experience.c.training == training.id).values(training=None))


def _change(connection: Connection, training: Training, **values: Any) -> None:
    own = (trainings.c.id == training.id, trainings.c.owner == training.owner, trainings.c.state == RUNNING)
    if connection.execute(update(trainings).where(*own).values(**values)).rowcount != 1:
        raise TrainingLostError(
            f"training {training.id} was taken over by another process: the result of this one is dropped"
        )


def latest(connection: Connection, limit: int) -> list[Training]:
    """The latest trainings, the newest first."""
    rows = connection.execute(select(trainings).order_by(trainings.c.id.desc()).limit(limit))
    return [_training(row) for row in rows]


def _training(row: Any, **changes: Any) -> Training:
    values = {
        "id": row.id, "kind": row.kind, "owner": row.owner, "state": row.state, "started": row.started,
        "finished": row.finished, "first_seq": row.first_seq, "last_seq": row.last_seq,
        "experiences": row.experiences, "result": None if row.result is None else json.loads(row.result),
    }  # fmt: skip
    return Training(**{**values, **changes})


def experiences(connection: Connection, *conditions: Any, limit: int | None = None) -> list[Experience]:
    """Accepted experience in the order of acceptance.

    Args:
        conditions: on the columns of the table `experience`.
        limit: the latest that fulfil them; None: all.
    """
    columns = [decisions.c[name] for name in DECISION] + [rewards.c[name] for name in REWARD]
    query = (
        select(experience.c.seq, *columns)
        .join(decisions, decisions.c.decision_id == experience.c.decision_id)
        .join(rewards, rewards.c.decision_id == experience.c.decision_id)
        .where(experience.c.refused.is_(None), *conditions)
        .order_by(experience.c.seq.desc())
        .limit(limit)
    )
    end = 1 + len(DECISION)
    rows = connection.execute(query).all()
    return [Experience(row[0], decision_of(row[1:end]), reward_of(row[end:])) for row in reversed(rows)]
