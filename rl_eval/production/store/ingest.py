"""What the collector writes: records become rows once, and pairs of decision and reward become experience once.

Everything here runs inside one transaction that writes, so no other collector is at work meanwhile.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from sqlalchemy import Connection, Table, insert, select, update

from rl_eval.production.records import LoggedDecision, LoggedReward, Record
from rl_eval.production.store import erasure
from rl_eval.production.store.counters import add_counts
from rl_eval.production.store.rows import DECISION, REWARD, Pair, chunks, decision_of, reward_of, values_of
from rl_eval.production.store.tables import decisions, experience, rewards

CONFLICT, OUTSIDE_BOUNDS = "conflict", "outside_bounds"
# From pairs, and from those accepted rewards that equal content had before, to the reasons of refusal; None: accepted.
Judge = Callable[[Sequence[Pair], Sequence[Sequence[float]]], Sequence[str | None]]


def ingest(
    connection: Connection,
    records: Sequence[Record],
    judge: Judge,
    received: float,
    bounds: tuple[float, float] = (-math.inf, math.inf),
) -> Counter[str]:
    """Store records; those that are stored already change nothing.

    Args:
        judge: says which experience is refused, and why.
        received: seconds since 1970, by the collector's clock.
        bounds: of a reward in a roll-out; those outside are counted.

    Returns:
        What happened: `decisions`, `rewards`, `accepted`, `duplicates`, `outside_bounds`, `refused.<reason>`.
    """
    counts: Counter[str] = Counter()
    kept = erasure.without_erased(connection, records)
    counts["refused.erased"] += len(records) - len(kept)
    new_decisions = _new_decisions(connection, [r for r in kept if isinstance(r, LoggedDecision)], counts)
    new_rewards, disputed = _new_rewards(connection, [r for r in kept if isinstance(r, LoggedReward)], counts)
    if new_decisions:
        connection.execute(insert(decisions), [values_of(row, received) for row in new_decisions.values()])
    if new_rewards:
        columns = [{**values_of(row, received), "disputed": key in disputed} for key, row in new_rewards.items()]
        connection.execute(insert(rewards), columns)
    counts["decisions"] += len(new_decisions)
    counts["rewards"] += len(new_rewards)
    counts[OUTSIDE_BOUNDS] += sum(not bounds[0] <= row.reward <= bounds[1] for row in new_rewards.values())
    pairs = _pairs(connection, new_decisions, new_rewards, disputed)
    if pairs:
        _judge(connection, pairs, disputed, judge, received, counts)
    add_counts(connection, counts)
    return counts


def _stored(connection: Connection, table: Table, names: Sequence[str], ids: Iterable[str]) -> list[Sequence]:
    columns = [table.c[name] for name in names]
    return [
        row for some in chunks(ids) for row in connection.execute(select(*columns).where(table.c.decision_id.in_(some)))
    ]


def _new_decisions(
    connection: Connection, arrived: Sequence[LoggedDecision], counts: Counter[str]
) -> dict[str, LoggedDecision]:
    by_id = {decision.decision_id: decision for decision in reversed(arrived)}  # the first of equal ids
    for (stored,) in _stored(connection, decisions, ("decision_id",), by_id):
        del by_id[stored]
    counts["duplicates"] += len(arrived) - len(by_id)
    return by_id


def _new_rewards(
    connection: Connection, arrived: Sequence[LoggedReward], counts: Counter[str]
) -> tuple[dict[str, LoggedReward], set[str]]:
    """The rewards that are new, and which decisions have got two different ones."""
    fresh = {reward.decision_id: reward for reward in reversed(arrived)}
    stored = _stored(connection, rewards, ("decision_id", "reward", "terminated"), fresh)
    first = {key: (reward.reward, reward.terminated) for key, reward in fresh.items()}
    first |= {row[0]: (row[1], bool(row[2])) for row in stored}
    disputed = {r.decision_id for r in arrived if (r.reward, r.terminated) != first[r.decision_id]}
    for row in stored:
        del fresh[row[0]]
    for some in chunks(disputed - fresh.keys()):
        connection.execute(update(rewards).where(rewards.c.decision_id.in_(some)).values(disputed=True))
        # What no training has is not trusted any more.
        free = (experience.c.training.is_(None), experience.c.refused.is_(None))
        chosen = update(experience).where(experience.c.decision_id.in_(some), *free)
        changed = connection.execute(chosen.values(refused=CONFLICT)).rowcount
        counts[f"refused.{CONFLICT}"] += changed
        counts["accepted"] -= changed
    counts["duplicates"] += len(arrived) - len(fresh)
    return fresh, disputed


def _pairs(
    connection: Connection,
    new_decisions: dict[str, LoggedDecision],
    new_rewards: dict[str, LoggedReward],
    disputed: set[str],
) -> list[Pair]:
    """The pairs that are complete now, in the order of their decisions; adds to what is `disputed`."""
    arrived = {key: decision for key, decision in new_decisions.items() if not decision.shadow}
    earlier_rewards = _stored(connection, rewards, (*REWARD, "disputed"), arrived.keys() - new_rewards.keys())
    disputed |= {row[0] for row in earlier_rewards if row[-1]}
    followed = {**new_rewards, **{row[0]: reward_of(row[:-1]) for row in earlier_rewards}}
    earlier = _stored(connection, decisions, DECISION, new_rewards.keys() - new_decisions.keys())
    decided = {**arrived, **{row[0]: decision_of(row) for row in earlier if not row[-1]}}
    pairs = [Pair(decided[key], followed[key]) for key in decided.keys() & followed.keys()]
    return sorted(pairs, key=lambda pair: (pair.decision.at, pair.decision.decision_id))


def _judge(
    connection: Connection,
    pairs: Sequence[Pair],
    disputed: set[str],
    judge: Judge,
    received: float,
    counts: Counter[str],
) -> None:
    contents = [_content(pair.decision) for pair in pairs]
    before: dict[bytes, list[float]] = {content: [] for content in contents}
    for some in chunks(before):
        query = (
            select(experience.c.content, rewards.c.reward)
            .join(rewards, rewards.c.decision_id == experience.c.decision_id)
            .where(experience.c.content.in_(some), experience.c.refused.is_(None))
        )
        for content, reward in connection.execute(query):
            before[bytes(content)].append(reward)
    judged = judge(pairs, [before[content] for content in contents])
    reasons = [
        CONFLICT if pair.decision.decision_id in disputed else reason
        for pair, reason in zip(pairs, judged, strict=True)
    ]
    connection.execute(
        insert(experience),
        [
            {
                "decision_id": pair.decision.decision_id, "received": received, "refused": reason, "content": content,
                "training": None,
            }
            for pair, reason, content in zip(pairs, reasons, contents, strict=True)
        ],
    )  # fmt: skip
    for reason in reasons:
        counts["accepted" if reason is None else f"refused.{reason}"] += 1


def _content(decision: LoggedDecision) -> bytes:
    digest = hashlib.blake2b(decision.observation, digest_size=8)
    digest.update(decision.mask or b"")
    digest.update(decision.action)
    return digest.digest()
