"""Build `Episodes` by hand."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rl_eval.rollout import Episodes


def from_rewards(rewards: Sequence[Sequence[float]]) -> Episodes:
    """One episode a row of per-step rewards."""
    lengths = np.array([len(row) for row in rewards], np.int64)
    flat = np.array([reward for row in rewards for reward in row], np.float64)
    return _episodes(lengths, {"native_reward": flat})


def from_cases(**outcome: Sequence[float]) -> Episodes:
    """One episode with a step a case."""
    arrays = {name: np.asarray(values) for name, values in outcome.items()}
    return _episodes(np.array([len(next(iter(arrays.values())))]), arrays)


def _episodes(lengths: np.ndarray, outcome: dict[str, np.ndarray]) -> Episodes:
    count = len(lengths)
    return Episodes(
        seeds=np.arange(count),
        lengths=lengths,
        terminated=np.zeros(count, bool),
        episode=np.repeat(np.arange(count), lengths),
        outcome=outcome,
        first_obs=np.zeros((count, 1)),
    )
