"""Numbers over facts that an environment reports, such as `is_success` in `info`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rl_eval.metrics._registry import MetricUndefined, metric

if TYPE_CHECKING:
    from rl_eval.rollout import Episodes


def _last_values(name: str, episodes: Episodes, config: Any) -> np.ndarray:
    """`[E]` a fact on the last step of each episode; NaN where it is not reported."""
    last = np.searchsorted(episodes.episode, np.arange(len(episodes)), side="right") - 1
    return np.asarray(episodes.outcome[name][last], np.float64)


@metric(
    "task",
    name="fact.<name>",
    needs=("<name>",),
    better="higher",
    variable=_last_values,
    bounds=lambda config: (0.0, 1.0),
)
def fact(name: str, episodes: Episodes, config: Any) -> float:
    """Mean over episodes of a fact at their end, such as the share where `is_success` is true."""
    values = _last_values(name, episodes, config)
    if not len(values) or np.isnan(values).all():
        raise MetricUndefined(f"no episode ends with the fact {name!r}: name a key that `info` has on the last step")
    return float(np.nanmean(values))
