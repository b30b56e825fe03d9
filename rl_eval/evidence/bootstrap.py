"""Statistics over tasks and runs with bootstrap intervals: the interquartile mean.

Scores are arrays `[..., R, T]` of R runs on each of T tasks; the leading axes are replicates. Its definition and the
stratified bootstrap: Agarwal, Schwarzer, Castro, Courville and Bellemare, *Deep reinforcement learning at the edge of
the statistical precipice*, NeurIPS 2021 (arXiv 2108.13264), sections 4.1–4.3, as in their library rliable.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from rl_eval.errors import InputError

Statistic = Callable[..., np.ndarray]
LEVEL = 0.95
# Scores of one step, so that its replicates stay in the cache.
_CHUNK = 1 << 17


@dataclass(frozen=True)
class Interval:
    """A statistic and its percentile bootstrap interval."""

    estimate: np.ndarray
    low: np.ndarray
    high: np.ndarray


def iqm(scores: np.ndarray) -> np.ndarray:
    """Interquartile mean, `[...]`: the mean of all runs on all tasks without the ⌊¼RT⌋ lowest and highest.

    It is more robust to outliers than the mean, and uses more of the runs than the median.
    """
    scores = np.asarray(scores)
    flat = np.sort(scores.reshape(*scores.shape[:-2], -1), axis=-1)  # numpy sorts short rows faster than it partitions
    count = flat.shape[-1]
    cut = count // 4
    return flat[..., cut : count - cut].mean(axis=-1)


def stratified_bootstrap(
    statistic: Statistic, scores: np.ndarray, *, replicates: int = 50_000, seed: int = 0
) -> Interval:
    """A statistic of `[R, T]` scores with its 95 % percentile interval.

    Each replicate draws, for every task on its own, R of its runs with replacement (the tasks are the strata: they are
    fixed, the runs are random). The interval is between the 2.5 % and 97.5 % quantiles of the statistic over
    replicates. With few runs it is too narrow; Agarwal et al. find it usable from about 5 on several tasks.

    Args:
        statistic: a function of `[..., R, T]` scores.
        scores: `[R, T]`.

    Raises:
        InputError: the array is empty, not `[R, T]`, or holds a score that is not finite.
    """
    table = _checked_table(scores)
    rng = np.random.default_rng(seed)
    step = max(1, _CHUNK // table.size)
    parts = [statistic(_resampled(table, min(step, replicates - start), rng)) for start in range(0, replicates, step)]
    low, high = np.quantile(np.concatenate(parts), [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    return Interval(statistic(table), low, high)


def _checked_table(scores: np.ndarray) -> np.ndarray:
    scores = np.asarray(scores, np.float64)
    if scores.ndim != 2 or scores.size == 0:
        raise InputError(f"expected scores of shape [runs, tasks] with at least one of each, but got {scores.shape}")
    if not np.isfinite(scores).all():
        run, task = np.argwhere(~np.isfinite(scores))[0]
        raise InputError(f"the score of run {run} on task {task} is {scores[run, task]}: what produced it is broken")
    return scores


def _resampled(table: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """`[count, R, T]` runs drawn with replacement within each task."""
    runs, tasks = table.shape
    small = np.min_scalar_type(table.size)  # narrow integers are drawn several times faster
    drawn = rng.integers(0, runs, (count, runs, tasks), dtype=small)
    return table.T.ravel().take(drawn + (np.arange(tasks) * runs).astype(small))
