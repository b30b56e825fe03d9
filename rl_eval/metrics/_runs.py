"""How much a task metric spreads over runs."""

from __future__ import annotations

import numpy as np

from rl_eval.metrics._registry import MetricUndefined, metric


def _several(values: np.ndarray) -> np.ndarray:
    """`[R]` the values of at least two runs."""
    values = np.asarray(values, np.float64)
    if len(values) < 2:
        raise MetricUndefined(f"a spread over runs needs at least 2 runs, not {len(values)}")
    return values


@metric("run", name="<task metric>_seed_variance", unit="run", better="lower", seeds="different", statistic="variance")
def seed_variance(values: np.ndarray) -> float:
    """Sample variance (n-1) of a task metric `[R]` over runs that differ only in their seed."""
    return float(_several(values).var(ddof=1))


@metric("run", name="<task metric>_seed_std", unit="run", better="lower", seeds="different", statistic="std")
def seed_std(values: np.ndarray) -> float:
    """Sample standard deviation (n-1) of a task metric `[R]` over runs that differ only in their seed."""
    return float(_several(values).std(ddof=1))


@metric("run", name="<task metric>_seed_mean", unit="run", seeds="different", statistic="mean")
def seed_mean(values: np.ndarray) -> float:
    """Mean of a task metric `[R]` over runs that differ only in their seed: what training gives on average."""
    return float(_several(values).mean())


@metric("run", unit="run", better="lower", base="mean_return", seeds="same")
def same_seed_return_std(values: np.ndarray) -> float:
    """Sample standard deviation (n-1) of the mean return over repeats of one run; 0 when training is exact."""
    return float(_several(values).std(ddof=1))
