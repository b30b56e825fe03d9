"""What the decisions cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rl_eval.metrics._registry import MetricUndefined, metric

if TYPE_CHECKING:
    from rl_eval.rollout import Episodes


def _costs(episodes: Episodes, config: Any) -> np.ndarray:
    cost = np.asarray(episodes.outcome["cost"], np.float64)
    if len(cost) == 0:
        raise MetricUndefined("no case was played, so there is no mean cost: play at least one episode")
    if not np.isfinite(cost).all():
        raise MetricUndefined("mean_cost is undefined: a case has a cost that is not finite")
    return cost


def _bounds(config: Any) -> tuple[float, float] | None:
    from rl_eval.envs import domain

    known = getattr(domain(config.name), "cost_bounds", None)
    return known(config) if known else None


@metric("task", needs=("cost",), unit="case", better="lower", variable=_costs, bounds=_bounds)
def mean_cost(episodes: Episodes, config: Any) -> float:
    """Mean cost of a case, as the environment counts it."""
    return float(_costs(episodes, config).mean())
