"""How often each action is taken."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np

from rl_eval.errors import InputError
from rl_eval.metrics._registry import MetricUndefined, metric

if TYPE_CHECKING:
    from rl_eval.rollout import Episodes


def _is_action(action: str, episodes: Episodes, config: Any) -> np.ndarray:
    if not re.fullmatch(r"-?[0-9]{1,18}", action):
        raise InputError(f"action_share.{action} does not name an action: write its number, such as action_share.0")
    actions = np.asarray(episodes.outcome["action"])
    if len(actions) == 0:
        raise MetricUndefined("no step was played, so there are no shares: play at least one episode")
    return actions == int(action)


@metric(
    "task",
    name="action_share.<number>",
    needs=("action",),
    unit="case",
    variable=_is_action,
    bounds=lambda config: (0.0, 1.0),
)
def action_share(action: str, episodes: Episodes, config: Any) -> float:
    """Share of the steps on which the action of that number was taken."""
    return float(_is_action(action, episodes, config).mean())
