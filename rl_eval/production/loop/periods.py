"""Forgetting and transfer from logs alone: each policy's estimated mean reward on held-out traffic of each period.

A period is what one training learned from. Scores are doubly robust estimates, in shares of the range of a reward, so
that the bars on BWT and FWT mean the same for all policies.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rl_eval.evidence import off_policy_estimates
from rl_eval.production.canary_config import RolloutConfig
from rl_eval.production.loop.experience import split, traffic
from rl_eval.production.loop.known import earlier_trainings
from rl_eval.production.parts import Parts
from rl_eval.production.proof import Judged, LoggedTraffic, Periods
from rl_eval.production.proof.off_policy import predict_rewards
from rl_eval.production.store import Experience

DOCUMENT = "periods"
LEAST = 50  # held-out decisions of a period
MOST = 20  # periods


def score(judged: Judged, logged: LoggedTraffic, config: RolloutConfig) -> float:
    """The estimated mean reward of a policy on logged traffic, 0 at the lowest reward and 1 at the highest."""
    probabilities = judged.probabilities(logged.observations)
    return _scaled(_estimate(logged, probabilities), config)


def _estimate(logged: LoggedTraffic, probabilities: np.ndarray) -> float:
    logs = logged.rewards, logged.actions, logged.propensities
    predicted = predict_rewards(logged.observations, logged.actions, logged.rewards, probabilities.shape[1])
    estimates = off_policy_estimates(*logs, probabilities, predicted)
    best = estimates.doubly_robust or estimates.snips
    return best.value


def _scaled(value: float, config: RolloutConfig) -> float:
    return (value - config.low) / (config.high - config.low)


def measure(
    parts: Parts, candidate: Judged, champion: Judged, training: int, held_out: Sequence[Experience]
) -> tuple[Periods | None, dict[str, Any]]:
    """Scores over the periods whose held-out traffic is still kept.

    Args:
        training: the id of this one.
        held_out: of this period.

    Returns:
        The scores, None before the second period; and the row to keep, once it is known which of the two serves:
        `candidate` and `champion`, period -> score.
    """
    config, actions = parts.config.rollout, candidate.policy.actions
    sets: dict[int, LoggedTraffic] = {}
    for earlier in earlier_trainings(parts)[-MOST:]:
        logged = traffic(split(parts.store.experiences_of(earlier), parts.config.loop.held_out)[1], actions)
        if logged is not None and len(logged.rewards) >= LEAST:
            sets[earlier.id] = logged
    logged = traffic(held_out, actions)
    if logged is None or len(logged.rewards) < LEAST:
        return None, {}
    sets[training] = logged
    row: dict[str, Any] = {
        name: {str(period): score(judged, some, config) for period, some in sets.items()}
        for name, judged in (("candidate", candidate), ("champion", champion))
    }
    assert actions is not None
    uniform = np.full((len(logged.rewards), actions), 1 / actions)
    row["uniform"] = {str(training): _scaled(_estimate(logged, uniform), config)}
    stored = parts.store.document(DOCUMENT).body
    # A training that was taken over may have left a row of its own.
    known = [str(period) for period in sets if period != training and str(period) in stored.get("rows", {})]
    order = [*known, str(training)]
    if len(order) < 2:
        return None, row
    return _matrix(stored, row, order), row


def _matrix(stored: Mapping[str, Any], row: Mapping[str, Any], order: Sequence[str]) -> Periods:
    """R[i, j] after period i on period j; what was never measured is what the period's own policy had there."""
    count = len(order)
    scores, first = np.zeros((count, count)), np.zeros(count)
    for i, period in enumerate(order[:-1]):
        known = stored["rows"][period]
        first[i] = stored["uniform"].get(period, 0.0)
        for j, other in enumerate(order):
            scores[i, j] = known.get(other, known[period])
    first[-1] = row["uniform"][order[-1]]
    # Before its own training, the newest period was met by the champion.
    scores[-2, -1] = row["champion"][order[-1]]
    scores[-1] = [row["candidate"][period] for period in order]
    return Periods(scores, first)


def keep(parts: Parts, training: int, row: Mapping[str, Any], accepted: bool) -> None:
    """Keep the scores of whoever goes on from this period."""
    if not row:
        return
    period = str(training)
    for _ in range(10):
        document = parts.store.document(DOCUMENT)
        rows = {**document.body.get("rows", {}), period: row["candidate" if accepted else "champion"]}
        kept = sorted(rows, key=int)[-MOST:]
        if len(kept) > 1:  # how the period before had left the policy that met this one
            rows[kept[-2]] = {**rows[kept[-2]], period: row["champion"][period]}
        uniform = {**document.body.get("uniform", {}), **row["uniform"]}
        body = {name: {key: values[key] for key in kept} for name, values in (("rows", rows), ("uniform", uniform))}
        if parts.store.swap_document(document.number, body, DOCUMENT):
            return
