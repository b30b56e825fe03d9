"""The metrics of threat triage: mean cost of the decisions, and how many were the best in hindsight."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rl_eval.domains.threat.config import Config
from rl_eval.metrics import MetricUndefined, metric

if TYPE_CHECKING:
    from rl_eval.rollout import Episodes


def _costs(episodes: Episodes, config: Config) -> np.ndarray:
    cost = np.asarray(episodes.outcome["cost"], np.float64)
    if len(cost) == 0:
        raise MetricUndefined("no case was played, so there is no mean cost: play at least one episode")
    if not np.isfinite(cost).all():
        raise MetricUndefined("mean_cost is undefined: a case has a cost that is not finite")
    return cost


def _bounds(config: Config) -> tuple[float, float]:
    """The smallest and the largest cost of a flow, in the precision of `outcome["cost"]`."""
    if not isinstance(config, Config):
        raise MetricUndefined("mean_cost needs the prices of env=threat: judge `fact.cost` with `bounds`")
    costs = np.asarray(config.costs, np.float32)
    return float(costs.min()), float(costs.max())


@metric(
    "task",
    needs=("cost",),
    unit="case",
    better="lower",
    variable=_costs,
    bounds=_bounds,
    measured_in="units of env.costs per flow",
)
def mean_cost(episodes: Episodes, config: Config) -> float:
    """Mean cost of a case, as the environment counts it."""
    return float(_costs(episodes, config).mean())


def _best(episodes: Episodes, config: Config) -> np.ndarray:
    """`[S]` whether nothing would have cost less, now that it is known whether the flow is a threat."""
    least = np.asarray(config.costs, np.float32).min(axis=1)
    return _costs(episodes, config) <= least[np.asarray(episodes.outcome["label"], int)]


@metric("task", needs=("cost", "label"), unit="case", better="higher", variable=_best, bounds=lambda config: (0.0, 1.0))
def decision_accuracy(episodes: Episodes, config: Config) -> float:
    """Share of decisions that were the best in hindsight: by the costs, and by what the flow was."""
    return float(_best(episodes, config).mean())
