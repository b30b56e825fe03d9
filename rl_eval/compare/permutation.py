"""Is the mean of differences below 0? A permutation test over the episodes that two policies both played.

The signs of the differences are flipped (Fisher 1935). This is exact where a difference is as likely to be d as −d, and
right for many episodes elsewhere. The interval holds the shifts that the same test does not reject, so it agrees with
the p-values.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from rl_eval.errors import InputError

# All sign patterns are tried if there are at most this many. Else this many are drawn.
MAX_PERMUTATIONS = 1 << 15
_ROUNDING = 1e-9
_DOUBLINGS, _HALVINGS = 40, 30
_CHUNK_ENTRIES = 1 << 22  # of signs in memory at a time


@dataclass(frozen=True)
class MeanDifference:
    """The mean of x minus the mean of y over n pairs, and the evidence for its sign.

    Attributes:
        low, high: the shifts that neither one-sided test rejects at alpha, a 1−2·alpha interval; infinite where there
            are too few pairs to reject any.
        p_below, p_above: p-values of "it is not below 0" and "it is not above 0"; small where the data contradict that.
        count: the number of pairs.
    """

    estimate: float
    low: float
    high: float
    p_below: float
    p_above: float
    count: int


def smallest_p(count: int) -> float:
    """The smallest p-value that so many pairs can have, however far apart they are."""
    return max(2.0**-count, 1.0 / MAX_PERMUTATIONS)


def paired_difference(x: np.ndarray, y: np.ndarray, alpha: float = 0.05, seed: int = 0) -> MeanDifference:
    """The mean of x − y, both `[n]`, by flipping signs.

    Raises:
        InputError: the two differ in length, are empty, or hold a value that is not finite.
    """
    d = _checked(x) - _checked(y)
    n = len(d)
    flipped, mean_signs = np.concatenate([[signs @ d, signs.sum(axis=1)] for signs in _signs(n, seed)], axis=1) / n
    mean, size, scale = float(d.mean()), float(np.abs(d).max()), float(np.ptp(d))

    def p(shift: float, below: bool) -> float:
        slack = _ROUNDING * (size + abs(shift))
        permuted, observed = flipped - shift * mean_signs, mean - shift
        return float(np.mean(permuted <= observed + slack if below else permuted >= observed - slack))

    low, high = -math.inf, math.inf
    if smallest_p(n) <= alpha and scale == 0:
        low = high = mean
    elif smallest_p(n) <= alpha:
        step = 0.05 * scale
        low = mean - _rejection_distance(lambda distance: p(mean - distance, False) <= alpha, step)
        high = mean + _rejection_distance(lambda distance: p(mean + distance, True) <= alpha, step)
    return MeanDifference(mean, low, high, p(0.0, True), p(0.0, False), n)


def _rejection_distance(rejected: Callable[[float], bool], step: float) -> float:
    """The distance from the estimate at which shifts begin to be rejected; infinite where none is."""
    far, near = step, 0.0
    for _ in range(_DOUBLINGS):
        if rejected(far):
            break
        near, far = far, 2 * far
    else:
        return math.inf
    for _ in range(_HALVINGS):
        middle = (near + far) / 2
        near, far = (near, middle) if rejected(middle) else (middle, far)
    return far


def _signs(n: int, seed: int) -> Iterator[np.ndarray]:
    """All sign patterns, or random ones, in chunks `[b, n]`; the observed one comes first."""
    if n < 40 and 2**n <= MAX_PERMUTATIONS:
        bits = np.arange(2**n)[:, None] >> np.arange(n) & 1
        yield 1.0 - 2.0 * bits
        return
    rng = np.random.default_rng(seed)
    yield np.ones((1, n))
    for count in _chunk_sizes(n):
        yield 1.0 - 2.0 * rng.integers(0, 2, (count, n), dtype=np.int8)


def _chunk_sizes(width: int) -> Iterator[int]:
    """How many permutations to draw at a time, so that they fit in memory; one less in all than `MAX_PERMUTATIONS`."""
    remaining, at_once = MAX_PERMUTATIONS - 1, max(1, _CHUNK_ENTRIES // width)
    while remaining > 0:
        yield min(remaining, at_once)
        remaining -= at_once


def _checked(values: np.ndarray) -> np.ndarray:
    values = np.asarray(values, np.float64)
    if values.ndim != 1 or len(values) == 0 or not np.isfinite(values).all():
        raise InputError("a comparison needs at least one number on each side, all of them finite")
    return values
