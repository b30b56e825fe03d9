"""Scales and ticks of charts, and thinning curves."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

MAX_POINTS = 400
Scale = Callable[[np.ndarray | float], np.ndarray]


def scale(first: float, last: float, start: float, stop: float) -> Scale:
    """The linear map that takes `first` to `start` and `last` to `stop`."""
    width = last - first if last > first else 1.0
    return lambda values: start + (np.asarray(values, np.float64) - first) / width * (stop - start)


def ticks(low: float, high: float, about: int) -> list[float]:
    """About so many round numbers, the first at most `low` and the last at least `high`.

    The step is 1, 2, 2.5 or 5 times a power of ten.
    """
    low, high = float(low), float(high)
    if not (math.isfinite(low) and math.isfinite(high)) or high - low > 1e300:
        return [0.0, 1.0]
    if high - low <= 1e-12 * max(abs(low), abs(high), 1e-300):
        spread = abs(high) * 0.1
        low, high = (low - spread, high + spread) if spread else (0.0, 1.0)
    raw = (high - low) / about
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(nice * power for nice in (1, 2, 2.5, 5, 10) if nice * power >= raw * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [index * step for index in range(first, last + 1)]


def thinned(x: np.ndarray, y: np.ndarray, max_points: int = MAX_POINTS) -> tuple[np.ndarray, np.ndarray]:
    """A curve with at most `max_points`: means of y over equal shares of the rows, without NaN.

    Args:
        x, y: `[n]`.
    """
    if len(x) <= max_points:
        return x, y
    share = np.arange(len(x)) * max_points // len(x)
    finite = np.isfinite(y)
    counts = np.bincount(share, weights=finite, minlength=max_points)
    with np.errstate(invalid="ignore", divide="ignore"):
        means = np.bincount(share, weights=np.where(finite, y, 0.0), minlength=max_points) / counts
    last = np.searchsorted(share, np.arange(max_points), side="right") - 1
    return x[last], means
