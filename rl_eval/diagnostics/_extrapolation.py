"""When does a learning curve reach a threshold, if it goes on as it did?"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

import numpy as np

POINTS = 200  # a curve is averaged down to this many
FEWEST = 12  # points, so that the last half still holds the six blocks of a trend test
REPLICATES = 400
LEVEL = 0.95
# Time constants tried, in spans of the curve: from one that is long settled to one that looks like a line.
TIME_CONSTANTS = np.geomspace(1 / 20, 20, 40)
# Further out than this many times what has been seen, an extrapolation says nothing.
FURTHEST = 10.0


@dataclass(frozen=True)
class Crossing:
    """Where a curve is expected to reach a threshold.

    Attributes:
        low, high: env steps, a 95 % interval; `high` is infinite where nothing says that it ever gets there.
    """

    low: float
    high: float


def averaged(steps: np.ndarray, values: np.ndarray, most: int = POINTS) -> tuple[np.ndarray, np.ndarray]:
    """A curve without its gaps, in the order of its steps, averaged over consecutive rows to at most `most` points."""
    known = np.isfinite(steps) & np.isfinite(values)
    steps, values = steps[known], values[known]
    order = np.argsort(steps, kind="stable")
    steps, values = steps[order], values[order]
    if len(steps) <= most:
        return steps, values
    edges = np.linspace(0, len(steps), most + 1).astype(int)
    count = np.diff(edges)
    return np.add.reduceat(steps, edges[:-1]) / count, np.add.reduceat(values, edges[:-1]) / count


def crossing(steps: np.ndarray, values: np.ndarray, threshold: float, seed: int = 0) -> Crossing:
    """Where a rising curve reaches a threshold above its end.

    Two shapes are continued: a straight line through the last half, and the saturating a - b·exp(-t/T) through all
    of it (the learning curve of Heathcote, Brown and Mewhort 2000, whose asymptote may lie below the threshold).
    Each is fitted to REPLICATES curves whose residuals were drawn again in blocks (Kunsch 1989), so that their
    autocorrelation stays.

    The lower end is the 2.5 % quantile of both shapes' crossings, and no later than if the steepest quarter of the
    curve came back, since curves do speed up. The upper end is the 97.5 % quantile of the saturating shape's, where a
    fit whose time constant is longer than the curve counts as never crossing: a curve that has not bent yet says
    nothing about where it will, and a line through it would promise what agents do not keep.

    Args:
        steps, values: `[n]`, at least FEWEST points, in the order of the steps.
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
    low, high = max(low, 1.0), max(high, 1.0)  # it has not been reached so far
    return Crossing(first + span * low, first + span * high if high <= FURTHEST else float("inf"))


def _steepest(time: np.ndarray, values: np.ndarray) -> float:
    """The fastest rise over any quarter of the curve, by least squares; tiny where it never rises."""
    width = max(len(time) // 4, 3)
    slopes = [_slope(time[i : i + width], values[i : i + width]) for i in range(len(time) - width + 1)]
    return max(*slopes, 1e-9)


def _slope(time: np.ndarray, values: np.ndarray) -> float:
    centred = time - time.mean()
    return float(centred @ values / max(float(centred @ centred), 1e-12))


def _saturating(
    time: np.ndarray, values: np.ndarray, threshold: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """`[REPLICATES]` crossings of a - b·exp(-t/T), infinite where a ≤ threshold or the curve falls, and each T."""
    shapes = np.stack([np.ones((len(TIME_CONSTANTS), len(time))), np.exp(-time / TIME_CONSTANTS[:, None])], axis=-1)
    solve = np.linalg.pinv(shapes)  # [K, 2, n]
    fit, _ = _best(shapes, solve, values[:, None])
    curves = _redrawn(fit[:, 0], values - fit[:, 0], rng)
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
    each = np.arange(curves.shape[1])
    return fits[best, :, each].T, (coefficients[best, 0, each], coefficients[best, 1, each], TIME_CONSTANTS[best])


def _linear(time: np.ndarray, values: np.ndarray, threshold: float, rng: np.random.Generator) -> np.ndarray:
    """`[REPLICATES]` crossings of a straight line; infinite where it does not rise."""
    centred = time - time.mean()
    slope = _slope(time, values)
    fit = values.mean() + slope * centred
    curves = _redrawn(fit, values - fit, rng)
    slopes = centred @ curves / float(centred @ centred)
    with np.errstate(divide="ignore"):
        reached = time.mean() + (threshold - curves.mean(axis=0)) / slopes
    return np.where(slopes > 0, reached, np.inf)


def _redrawn(fit: np.ndarray, residuals: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """`[n, REPLICATES]` the fit with its residuals drawn in circular blocks."""
    n = len(residuals)
    length = _block_length(residuals)
    starts = rng.integers(0, n, (ceil(n / length), REPLICATES))
    index = (starts[:, None, :] + np.arange(length)[None, :, None]).reshape(-1, REPLICATES)[:n] % n
    blocks = max(n / length, 4.0)
    # Three parameters were fitted to as many pieces of news as there are blocks, so the residuals are too small.
    return fit[:, None] + residuals[index] * (blocks / (blocks - 3)) ** 0.5


def _block_length(residuals: np.ndarray) -> int:
    """At least n^(1/3), and long enough for the lag-1 correlation to die out, as far as four blocks remain."""
    n = len(residuals)
    centred = residuals - residuals.mean()
    power = float(centred @ centred)
    correlation = float(np.clip(centred[1:] @ centred[:-1] / power, 0.0, 0.95)) if power > 0 else 0.0
    return int(np.clip(ceil(max(n ** (1 / 3), (1 + correlation) / (1 - correlation))), 1, max(n // 4, 1)))
