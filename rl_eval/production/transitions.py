"""Accepted experience as the transitions that an agent learns from, and as logged traffic for a proof."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from rl_eval.production.proof.off_policy import LoggedTraffic
from rl_eval.production.records import LoggedDecision, LoggedReward
from rl_eval.serving.rows import Decision, Experience, StoredTransition


class Accepted(Protocol):
    """A decision and what followed it; `seq` is its number in the store."""

    @property
    def seq(self) -> int: ...  # noqa: D102
    @property
    def decision(self) -> LoggedDecision: ...  # noqa: D102
    @property
    def reward(self) -> LoggedReward: ...  # noqa: D102


def transitions(accepted: Sequence[Accepted]) -> list[StoredTransition]:
    """Complete transitions in the order of their decisions.

    A step led to the observation that was sent with the reward, or to that of the unit's next decision. Left out are
    shadow decisions, those without propensity, and those that go on but whose next observation is not known.
    """
    ordered = sorted(accepted, key=lambda row: (row.decision.at, row.decision.decision_id))
    following: dict[str, LoggedDecision] = {}  # decision id -> the unit's next decision
    latest: dict[str, str] = {}
    for row in ordered:
        decision = row.decision
        if decision.unit is not None and not decision.shadow:
            if decision.unit in latest:
                following[latest[decision.unit]] = decision
            latest[decision.unit] = decision.decision_id
    complete = (_transition(row, following.get(row.decision.decision_id)) for row in ordered)
    return [transition for transition in complete if transition is not None]


def _transition(row: Accepted, following: LoggedDecision | None) -> StoredTransition | None:
    decision, reward = row.decision, row.reward
    if decision.shadow or decision.propensity is None or not decision.propensity > 0:
        return None
    observation, mask = reward.next_observation, reward.next_mask
    if observation is None and not reward.terminated and following is not None:
        observation, mask = following.observation, following.mask
    if observation is None and not reward.terminated:
        return None
    return StoredTransition(
        row.seq,
        Decision(
            decision.version,
            decision.unit,
            decision.observation,
            decision.mask,
            decision.action,
            math.log(decision.propensity),
            decision.value,
            decision.confidence,
            False,
        ),
        Experience(reward.reward, reward.terminated, reward.truncated, observation, mask),
    )


def logged_traffic(accepted: Sequence[Accepted]) -> LoggedTraffic:
    """Decisions between discrete actions, each with its reward; without shadow ones and those without propensity."""
    rows = [row for row in accepted if not row.decision.shadow and row.decision.propensity is not None]
    stored = [row.decision.mask for row in rows]
    widths = {len(mask) for mask in stored if mask is not None}
    masks = None
    if len(widths) == 1:  # where a decision has none, all actions were legal
        everything = b"\1" * widths.pop()
        masks = np.array([np.frombuffer(mask or everything, bool) for mask in stored])
    return LoggedTraffic(
        np.array([np.frombuffer(row.decision.observation, np.float32) for row in rows]),
        np.array([np.frombuffer(row.decision.action, np.int64)[0] for row in rows], np.int64),
        np.array([row.decision.propensity for row in rows], np.float64),
        np.array([row.reward.reward for row in rows], np.float64),
        masks,
    )
