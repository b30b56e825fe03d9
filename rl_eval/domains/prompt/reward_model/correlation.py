"""Rank correlation of predicted and true scores inside unseen tasks, with its interval over tasks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rl_eval.errors import InputError

CONFIDENCE = 0.95


@dataclass(frozen=True)
class RankCorrelation:
    """Mean over tasks of Spearman's correlation inside a task.

    Attributes:
        low, high: the 95 % interval of the mean over tasks such as these (Student's t); -1 to 1 with one task.
        tasks: how many tasks have one.
    """

    estimate: float
    low: float
    high: float
    tasks: int


def spearman(first: np.ndarray, second: np.ndarray) -> float:
    """Spearman's rank correlation of two arrays `[R]`, ties at their mean rank; NaN if one is constant."""
    ranks = [_ranks(np.asarray(values)) for values in (first, second)]
    norm = math.sqrt(float(ranks[0] @ ranks[0]) * float(ranks[1] @ ranks[1]))
    return float(ranks[0] @ ranks[1]) / norm if norm > 0 else float("nan")


def _ranks(values: np.ndarray) -> np.ndarray:
    """Ranks `[R]` with mean 0, equal values at the mean of theirs."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return (ends - (counts - 1) / 2)[place] - (len(values) + 1) / 2


def over_tasks(correlations: Sequence[float]) -> RankCorrelation:
    """The mean of correlations, one per task; a task without one is left out.

    Raises:
        InputError: no task has one.
    """
    values = np.array([value for value in correlations if not math.isnan(value)])
    if not len(values):
        raise InputError("no task has prompts of different scores, so there is no rank correlation: add tasks")
    mean, low, high = student_interval(values)
    return RankCorrelation(mean, max(low, -1.0), min(high, 1.0), len(values))


def student_interval(values: np.ndarray) -> tuple[float, float, float]:
    """Mean of values `[n]`, n > 0, and the ends of its 95 % interval by Student's t; without ends where n = 1."""
    from scipy.special import stdtrit

    mean = float(values.mean())
    if len(values) < 2:
        return mean, -math.inf, math.inf
    quantile = float(stdtrit(len(values) - 1, (1 + CONFIDENCE) / 2))
    half = quantile * float(values.std(ddof=1)) / math.sqrt(len(values))
    return mean, mean - half, mean + half
