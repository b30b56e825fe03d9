"""Numbers over episodes: the environment's own return, success, length."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rl_eval.metrics._registry import MetricUndefined, metric

if TYPE_CHECKING:
    from rl_eval.rollout import Episodes


def _returns(episodes: Episodes) -> np.ndarray:
    """`[E]` the undiscounted returns, all finite.

    Raises:
        MetricUndefined: no episodes, or a reward that is not finite.
    """
    if len(episodes) == 0:
        raise MetricUndefined("no episode was played, so there is no return: play at least one")
    returns = episodes.per_episode("native_reward")
    broken = np.flatnonzero(~np.isfinite(returns))
    if len(broken):
        raise MetricUndefined(
            f"{len(broken)} of {len(episodes)} episodes have a return that is not finite, the first with seed "
            f"{episodes.seeds[broken[0]]}: the environment's rewards are broken"
        )
    return returns


@metric("task", needs=("native_reward",), better="higher", variable=lambda episodes, config: _returns(episodes))
def mean_return(episodes: Episodes, config: Any) -> float:
    """Mean undiscounted return of an episode, in the environment's own reward."""
    return float(_returns(episodes).mean())


@metric("task", needs=("native_reward",), better="higher")
def median_return(episodes: Episodes, config: Any) -> float:
    """Median undiscounted return of an episode."""
    return float(np.median(_returns(episodes)))


@metric("task", needs=("native_reward",), better="higher")
def min_return(episodes: Episodes, config: Any) -> float:
    """Smallest undiscounted return of an episode."""
    return float(_returns(episodes).min())


def _successes(episodes: Episodes, config: Any) -> np.ndarray:
    threshold = getattr(config, "success_return", None)
    if threshold is None:
        raise MetricUndefined("success_rate needs env.success_return: set the return from which an episode succeeded")
    return _returns(episodes) >= threshold


@metric(
    "task",
    needs=("native_reward",),
    settings=("success_return",),
    better="higher",
    variable=_successes,
    bounds=lambda config: (0.0, 1.0),
)
def success_rate(episodes: Episodes, config: Any) -> float:
    """Share of episodes whose return is at least the environment's `success_return`."""
    return float(_successes(episodes, config).mean())


@metric("task")
def mean_length(episodes: Episodes, config: Any) -> float:
    """Mean number of steps of an episode."""
    if len(episodes) == 0:
        raise MetricUndefined("no episode was played, so there is no mean length: play at least one")
    return float(episodes.lengths.mean())
