"""Extrapolate a learning curve: when it reaches a threshold if it continues as before."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

import numpy as np

POINTS = 200  # a curve is averaged down to this many
MIN_POINTS = 12  # so that the last half still has the six values that a trend test takes
REPLICATES = 400
LEVEL = 0.95
# Time constants that are tried, in lengths of the curve: from long settled to almost a line.
TIME_CONSTANTS = np.geomspace(1 / 20, 20, 40)
MAX_EXTRAPOLATION = 10.0  # lengths of the curve; beyond, an extrapolation says nothing


@dataclass(frozen=True)
class Crossing:
    """The env steps at which a curve is expected to reach a threshold.

    Attributes:
        low, high: env steps, a 95 % interval; `high` is infinite if nothing shows that the curve ever gets there.
    """

    low: float
    high: float


def averaged(steps: np.ndarray, values: np.ndarray, max_points: int = POINTS) -> tuple[np.ndarray, np.ndarray]:
    """A curve without gaps, in the order of its steps, averaged over consecutive rows to at most `max_points`."""
    finite = np.isfinite(steps) & np.isfinite(values)
    steps, values = steps[finite], values[finite]
    order = np.argsort(steps, kind="stable")
    steps, values = steps[order], values[order]
    if len(steps) <= max_points:
        return steps, values
    edges = np.linspace(0, len(steps), max_points + 1).astype(int)
    count = np.diff(edges)
    return np.add.reduceat(steps, edges[:-1]) / count, np.add.reduceat(values, edges[:-1]) / count


def crossing(steps: np.ndarray, values: np.ndarray, threshold: float, seed: int = 0) -> Crossing:
    """Extrapolate a rising curve to a threshold above its end.

    Two shapes are extrapolated: a straight line through the last half, and the saturating a - b·exp(-t/T) through the
    full curve (the learning curve of Heathcote, Brown and Mewhort 2000; its asymptote may be below the threshold).
    Each is fitted to REPLICATES curves whose residuals are resampled in blocks (Kunsch 1989), which keeps their
    autocorrelation.

    The lower end is the 2.5 % quantile of the crossings of both shapes. It is no later than with the slope of the
    steepest quarter of the curve, since curves can speed up. The upper end is the 97.5 % quantile for the saturating
    shape. A fit whose time constant is longer than the curve counts as never crossing: a curve that has not bent yet
    does not show where it will, and a straight line would be too optimistic.

    Args:
        steps, values: `[n]`, at least MIN_POINTS points, in the order of the steps.
    """
    rng = np.random.default_rng(seed)
    first, last = float(steps[0]), float(steps[-1])
    span = max(last - first, 1.0)
    time = (steps - first) / span  # 0..1
    half = len(time) // 2
    bending, constants = _saturating(time, values, threshold, rng)
    straight = _linear(time[half:], values[half:], threshold, rng)
    low = float(np.quantile(np.concatenate([bending, straight]), (1 - LEVEL) / 2, method="lower"))
    low = min(low, 1.0 + (threshold - float(values[half:].mean())) / _steepest(time, values))
    high = float(np.quantile(np.where(constants <= 1.0, bending, np.inf), (1 + LEVEL) / 2, method="higher"))
    low, high = max(low, 1.0), max(high, 1.0)  # the threshold has not been reached so far
    return Crossing(first + span * low, first + span * high if high <= MAX_EXTRAPOLATION else float("inf"))


def _steepest(time: np.ndarray, values: np.ndarray) -> float:
    """The largest slope of any quarter of the curve, by least squares; tiny if it never rises."""
    width = max(len(time) // 4, 3)
    slopes = [_slope(time[i : i + width], values[i : i + width]) for i in range(len(time) - width + 1)]
    return max(*slopes, 1e-9)


def _slope(time: np.ndarray, values: np.ndarray) -> float:
    centred = time - time.mean()
    return float(centred @ values / max(float(centred @ centred), 1e-12))


def _saturating(
    time: np.ndarray, values: np.ndarray, threshold: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """`[REPLICATES]` crossings of a - b·exp(-t/T), infinite if a ≤ threshold or the curve falls, and each T."""
    shapes = np.stack([np.ones((len(TIME_CONSTANTS), len(time))), np.exp(-time / TIME_CONSTANTS[:, None])], axis=-1)
    solve = np.linalg.pinv(shapes)  # [K, 2, n]
    fit, _ = _best(shapes, solve, values[:, None])
    curves = _resampled(fit[:, 0], values - fit[:, 0], rng)
    _, (a, b, constant) = _best(shapes, solve, curves)
    with np.errstate(divide="ignore", invalid="ignore"):
        reached = constant * np.log(-b / (a - threshold))
    return np.where((a > threshold) & (b < 0), reached, np.inf), constant


def _best(
    shapes: np.ndarray, solve: np.ndarray, curves: np.ndarray
) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """The least-squares fit `[n, R]` over all time constants to curves `[n, R]`, and its parameters, each `[R]`."""
    coefficients = solve @ curves  # [K, 2, R]
    fits = shapes @ coefficients  # [K, n, R]
    best = np.square(fits - curves).sum(axis=1).argmin(axis=0)
    column = np.arange(curves.shape[1])
    parameters = coefficients[best, 0, column], coefficients[best, 1, column], TIME_CONSTANTS[best]
    return fits[best, :, column].T, parameters


def _linear(time: np.ndarray, values: np.ndarray, threshold: float, rng: np.random.Generator) -> np.ndarray:
    """`[REPLICATES]` crossings of a straight line; infinite if it does not rise."""
    centred = time - time.mean()
    slope = _slope(time, values)
    fit = values.mean() + slope * centred
    curves = _resampled(fit, values - fit, rng)
    slopes = centred @ curves / float(centred @ centred)
    with np.errstate(divide="ignore"):
        reached = time.mean() + (threshold - curves.mean(axis=0)) / slopes
    return np.where(slopes > 0, reached, np.inf)


def _resampled(fit: np.ndarray, residuals: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """`[n, REPLICATES]` the fit with its residuals resampled in circular blocks."""
    n = len(residuals)
    length = _block_length(residuals)
    starts = rng.integers(0, n, (ceil(n / length), REPLICATES))
    index = (starts[:, None, :] + np.arange(length)[None, :, None]).reshape(-1, REPLICATES)[:n] % n
    blocks = max(n / length, 4.0)
    # Three parameters were fitted to as many independent values as there are blocks: the residuals are too small.
    return fit[:, None] + residuals[index] * (blocks / (blocks - 3)) ** 0.5


def _block_length(residuals: np.ndarray) -> int:
    """At least n^(1/3), and long enough for the lag-1 correlation to vanish, but at most a quarter of the curve."""
    n = len(residuals)
    centred = residuals - residuals.mean()
    power = float(centred @ centred)
    correlation = float(np.clip(centred[1:] @ centred[:-1] / power, 0.0, 0.95)) if power > 0 else 0.0
    return int(np.clip(ceil(max(n ** (1 / 3), (1 + correlation) / (1 - correlation))), 1, max(n // 4, 1)))
