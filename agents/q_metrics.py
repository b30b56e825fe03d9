"""What an iteration of Q-learning says of itself."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from agents.config import DQNConfig
from agents.q_learning import losses

NAN = float("nan")
OF_UPDATES = (
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
class Round:
    """T steps of N copies, `[T, N, …]`."""

    obs: np.ndarray
    actions: np.ndarray  # from 0
    rewards: np.ndarray
    done: np.ndarray
    real: np.ndarray  # which rows are transitions


@dataclass
class Told:
    """What an iteration has to say of itself: of each round, and of each update."""

    rounds: list[Round] = field(default_factory=list)
    reward_terms: dict[str, float] = field(default_factory=dict)  # sums
    td: list[np.ndarray] = field(default_factory=list)  # [B]
    targets: list[np.ndarray] = field(default_factory=list)  # [B]
    weights: list[np.ndarray] = field(default_factory=list)  # [B]
    q: list[np.ndarray] = field(default_factory=list)  # [B, A]
    norms: list[float] = field(default_factory=list)
    ages: list[np.ndarray] = field(default_factory=list)
    drawn: list[np.ndarray] = field(default_factory=list)  # indices


def of_updates(told: Told, config: DQNConfig, deviation: float, transitions: int) -> dict[str, float]:
    """Means over an iteration's updates, by the names of `OF_UPDATES`; NaN where there were none.

    Args:
        deviation: what rewards were divided by.
        transitions: in the buffer.
    """
    if not told.td:
        return dict.fromkeys(OF_UPDATES, NAN)
    td, targets = np.concatenate(told.td), np.concatenate(told.targets)
    best = np.concatenate(told.q).max(axis=1)
    spread = float(targets.var(dtype=np.float64))
    weighted = np.concatenate(told.weights) * losses(td, config.loss)
    found = (
        float(weighted.mean(dtype=np.float64)),
        float(np.abs(td).mean()),
        1.0 - float(td.var(dtype=np.float64)) / spread if spread > 0 else NAN,
        float(best.mean(dtype=np.float64)) * deviation,
        float(best.max()) * deviation,
        float(np.mean(told.norms)),
        float(np.concatenate(told.ages).mean()),
        _distinct(np.concatenate(told.drawn), transitions) if config.prioritized else NAN,
    )
    return dict(zip(OF_UPDATES, found, strict=True))


def _distinct(drawn: np.ndarray, transitions: int) -> float:
    """Different ones among draws `[B]`, over M (1 − (1 − 1/M)^B), how many B uniform draws from M give on average."""
    expected = -np.expm1(len(drawn) * np.log1p(-1.0 / transitions)) * transitions if transitions > 1 else 1.0
    return float(len(np.unique(drawn)) / expected)


def largest_return(largest_reward: float, gamma: float) -> float:
    """The most that any return can be, were every reward the largest there is; NaN where there is no such bound.

    Truncation is bootstrapped from, so no limit of steps makes it less; an episode may end at once, though.
    """
    if largest_reward <= 0.0:
        return largest_reward
    return largest_reward / (1.0 - gamma) if gamma < 1.0 else NAN
