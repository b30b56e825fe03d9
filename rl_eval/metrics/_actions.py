"""How often each action is taken."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rl_eval.errors import InputError
from rl_eval.metrics._registry import MetricUndefined, metric

if TYPE_CHECKING:
    from rl_eval.rollout import Episodes


def _taken(action: str, episodes: Episodes, config: Any) -> np.ndarray:
    if not action.lstrip("-").isdigit():
        raise InputError(f"action_share.{action} names no action: write its number, such as action_share.0")
    taken = np.asarray(episodes.outcome["action"])
    if len(taken) == 0:
        raise MetricUndefined("no step was played, so there are no shares: play at least one episode")
    return taken == int(action)


@metric(
    "task",
    name="action_share.<number>",
    needs=("action",),
    unit="case",
    variable=_taken,
    bounds=lambda config: (0.0, 1.0),
)
def action_share(action: str, episodes: Episodes, config: Any) -> float:
    """Share of the steps on which the action of that number was taken."""
    return float(_taken(action, episodes, config).mean())
