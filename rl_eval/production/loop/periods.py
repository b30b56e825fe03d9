"""Forgetting and transfer, only from logs: each policy's estimated mean reward on held-out traffic of each period.

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
from rl_eval.production.parts import Parts
from rl_eval.production.proof import Judged, LoggedTraffic, Periods
from rl_eval.production.proof.off_policy import predict_rewards
from rl_eval.production.store import Experience, Training

DOCUMENT = "periods"
LEAST = 50  # held-out decisions of a period
MOST = 20  # periods


def score(judged: Judged, logged: LoggedTraffic, config: RolloutConfig) -> float:
    """The estimated mean reward of a policy on logged traffic, 0 at the lowest reward and 1 at the highest."""
    probabilities = judged.probabilities(logged.observations, logged.masks)
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

    The champion of now went on from the last period, whether or not that period's candidate took over. So its scores
    are that period's row of the matrix, and the candidate's are the last row.

    Args:
        training: the id of this one.
        held_out: of this period.

    Returns:
        The scores, None before the second period; and what `keep` keeps.
    """
    config, actions = parts.config.rollout, candidate.policy.actions
    earlier = _earlier_trainings(parts)
    sets: dict[int, LoggedTraffic] = {}
    for one in earlier[-MOST:]:
        logged = traffic(split(parts.store.experiences_of(one), parts.config.loop.held_out)[1], actions)
        if logged is not None and len(logged.rewards) >= LEAST:
            sets[one.id] = logged
    logged = traffic(held_out, actions)
    if logged is None or len(logged.rewards) < LEAST:
        return None, {}
    sets[training] = logged
    assert actions is not None
    uniform = np.full((len(logged.rewards), actions), 1 / actions)
    measured: dict[str, Any] = {"uniform": {str(training): _scaled(_estimate(logged, uniform), config)}, "rows": {}}
    if earlier:
        of_champion = {str(period): score(champion, some, config) for period, some in sets.items()}
        measured["rows"] = {str(earlier[-1].id): of_champion}
    stored = _together(parts.store.document(DOCUMENT).body, measured)
    of_candidate = {str(period): score(candidate, some, config) for period, some in sets.items()}
    return _matrix(stored, of_candidate, str(training)), measured


def _earlier_trainings(parts: Parts) -> list[Training]:
    """Trainings that have ended well, the first first."""
    return sorted((item for item in parts.store.trainings(100) if item.state == "done"), key=lambda item: item.id)


def _together(stored: Mapping[str, Any], measured: Mapping[str, Any]) -> dict[str, Any]:
    """The kept sets of the latest periods, with those that were measured last."""
    together = {name: {**stored.get(name, {}), **measured[name]} for name in ("rows", "uniform")}
    kept = sorted(together["uniform"], key=int)[-MOST:]
    return {name: {key: value for key, value in values.items() if key in kept} for name, values in together.items()}


def _matrix(stored: Mapping[str, Any], candidate: Mapping[str, float], training: str) -> Periods | None:
    """R[i, j]: after period i, on period j; None where there is only one period.

    Args:
        stored: `rows`, period -> period -> score of the policy after the first one; `uniform`, period -> score.
        candidate: period -> score.
        training: the newest period.
    """
    rows, uniform = stored["rows"], stored["uniform"]
    order = [period for period in candidate if period in rows and period in uniform] + [training]
    if len(order) < 2:
        return None
    scores = np.zeros((len(order), len(order)))
    for i, period in enumerate(order[:-1]):
        # Scores may be missing after a takeover. Then the score of this row on its own period counts.
        own = rows[period].get(period, candidate[period])
        scores[i] = [rows[period].get(other, own) for other in order]
    scores[-1] = [candidate[period] for period in order]
    return Periods(scores, np.array([uniform[period] for period in order]))


def keep(parts: Parts, measured: Mapping[str, Any]) -> None:
    """Keep what `measure` has measured; twice changes nothing."""
    for _ in range(10 if measured else 0):
        document = parts.store.document(DOCUMENT)
        body = _together(document.body, measured)
        if body == document.body or parts.store.swap_document(document.number, body, DOCUMENT):
            return
