"""Metrics of Q-learning's updates."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from agents.config import DQNConfig
from agents.q_learning import losses
from agents.replay import Batch

NAN = float("nan")
NAMES = (
    "value_loss",  # of what was drawn, in scaled rewards, as td_error is
    "td_error",  # mean |Q(s, a) − target|
    "explained_variance",  # 1 − var δ / var target
    "q_mean",  # of the best action, in the units of the reward
    "q_max",
    "grad_norm",  # 2-norm before clipping
    "replay_age",  # env steps since what was drawn was written
    "replay_distinct",  # different transitions drawn, over how many uniform draws give on average; with priorities
)


@dataclass
class UpdateLog:
    """Values of the updates of an iteration; each entry is of one update or one sample of B rows."""

    td_errors: list[np.ndarray] = field(default_factory=list)  # [B]
    targets: list[np.ndarray] = field(default_factory=list)  # [B]
    q_values: list[np.ndarray] = field(default_factory=list)  # [B, A]
    gradient_norms: list[float] = field(default_factory=list)
    weights: list[np.ndarray] = field(default_factory=list)  # [B]
    ages: list[np.ndarray] = field(default_factory=list)  # [B] env steps
    indices: list[np.ndarray] = field(default_factory=list)  # [B]

    def add(self, td_errors: np.ndarray, targets: np.ndarray, q_values: np.ndarray, gradient_norm: float) -> None:
        """Record an update."""
        self.td_errors.append(td_errors)
        self.targets.append(targets)
        self.q_values.append(q_values)
        self.gradient_norms.append(gradient_norm)

    def add_batch(self, batch: Batch) -> None:
        """Record a draw from the buffer."""
        self.weights.append(batch.weights)
        self.ages.append(batch.age)
        self.indices.append(batch.index)


def update_metrics(updates: UpdateLog, config: DQNConfig, deviation: float, transitions: int) -> dict[str, float]:
    """Means over an iteration's updates, by the `NAMES`; NaN if there were none.

    Args:
        deviation: what rewards were divided by.
        transitions: in the buffer.
    """
    if not updates.td_errors:
        return dict.fromkeys(NAMES, NAN)
    td_errors, targets = np.concatenate(updates.td_errors), np.concatenate(updates.targets)
    best = np.concatenate(updates.q_values).max(axis=1)
    variance = float(targets.var(dtype=np.float64))
    weighted = np.concatenate(updates.weights) * losses(td_errors, config.loss)
    metrics = (
        float(weighted.mean(dtype=np.float64)),
        float(np.abs(td_errors).mean()),
        1.0 - float(td_errors.var(dtype=np.float64)) / variance if variance > 0 else NAN,
        float(best.mean(dtype=np.float64)) * deviation,
        float(best.max()) * deviation,
        float(np.mean(updates.gradient_norms)),
        float(np.concatenate(updates.ages).mean()),
        _distinct(np.concatenate(updates.indices), transitions) if config.prioritized else NAN,
    )
    return dict(zip(NAMES, metrics, strict=True))


def _distinct(index: np.ndarray, transitions: int) -> float:
    """Different indices among `[B]`, over M (1 − (1 − 1/M)^B), how many B uniform draws from M give on average."""
    expected = -np.expm1(len(index) * np.log1p(-1.0 / transitions)) * transitions if transitions > 1 else 1.0
    return float(len(np.unique(index)) / expected)


def largest_return(largest_reward: float, gamma: float) -> float:
    """The largest possible return if every reward were the largest one; NaN if there is no such bound.

    A truncation is bootstrapped from, so a limit of steps does not lower it; an episode may end at once, though.
    """
    if largest_reward <= 0.0:
        return largest_reward
    return largest_reward / (1.0 - gamma) if gamma < 1.0 else NAN
