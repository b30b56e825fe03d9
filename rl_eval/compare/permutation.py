"""Is the mean of one sample below that of another? Permutation tests, exact where all permutations are tried.

Paired: the signs of the differences are flipped (Fisher 1935). This is exact where a difference is as likely to be d
as −d. Unpaired: the labels of the two samples are permuted and Welch's t is compared. This is exact where both samples
come from one distribution, and asymptotically right where only their means agree (Janssen 1997, *Studentized
permutation tests for non-i.i.d. hypotheses*; Chung & Romano 2013, *Exact and asymptotically robust permutation tests*).
No shape is assumed. Where a small sample varies much and a large one does not, permuted labels give p-values that are
too small: the p-value of Welch's t by Student's distribution is then used, if it is larger. The interval holds the
shifts that the same test does not reject, so it agrees with the p-values.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from rl_eval.errors import InputError

# All permutations are tried if there are at most this many. Else this many are drawn.
MAX_PERMUTATIONS = 1 << 15
_ROUNDING = 1e-9
_DOUBLINGS, _HALVINGS = 40, 30
_CHUNK_ENTRIES = 1 << 22  # of signs or labels in memory at a time


@dataclass(frozen=True)
class MeanDifference:
    """The mean of x minus the mean of y, and the evidence for its sign.

    Attributes:
        low, high: the shifts that neither one-sided test rejects at alpha, a 1−2·alpha interval; infinite where the
            samples are too small to reject any.
        p_below, p_above: p-values of "it is not below 0" and "it is not above 0"; small where the data contradict that.
        paired: whether each x belongs to one y.
        counts: the number of units of x and of y.
        smallest: the smallest p-value that is possible with so many units.
    """

    estimate: float
    low: float
    high: float
    p_below: float
    p_above: float
    paired: bool
    counts: tuple[int, int]
    smallest: float


def smallest_p(x: int, y: int, *, paired: bool) -> float:
    """The smallest p-value that samples of these sizes can have, however far apart they are."""
    return max(2.0**-x if paired else 1.0 / math.comb(x + y, x), 1.0 / MAX_PERMUTATIONS)


def paired_difference(x: np.ndarray, y: np.ndarray, alpha: float = 0.05, seed: int = 0) -> MeanDifference:
    """The mean of x − y, both `[n]`, by flipping signs.

    Raises:
        InputError: the two differ in length, are empty, or hold a value that is not finite.
    """
    d = _checked(x) - _checked(y)
    n = len(d)
    flipped, mean_signs = np.concatenate([[signs @ d, signs.sum(axis=1)] for signs in _signs(n, seed)], axis=1) / n
    mean, size = float(d.mean()), float(np.abs(d).max())

    def p(shift: float, below: bool) -> float:
        slack = _ROUNDING * (size + abs(shift))
        permuted, observed = flipped - shift * mean_signs, mean - shift
        return float(np.mean(permuted <= observed + slack if below else permuted >= observed - slack))

    return _difference(mean, p, alpha, True, (n, n), float(np.ptp(d)))


def unpaired_difference(x: np.ndarray, y: np.ndarray, alpha: float = 0.05, seed: int = 0) -> MeanDifference:
    """The mean of x `[n]` minus the mean of y `[m]`, by permuting the labels.

    Raises:
        InputError: a sample is empty, or holds a value that is not finite.
    """
    x, y = _checked(x), _checked(y)
    n, m = len(x), len(y)
    z = np.concatenate([x, y])
    z = z - z.mean()
    is_x = np.r_[np.ones(n), np.zeros(m)]
    columns = np.stack([z, z * z, z * is_x, is_x], axis=1)
    sums = np.concatenate([labels @ columns for labels in _labels(n, m, seed)]).T
    totals = columns.sum(axis=0)

    def statistics(shift: float) -> np.ndarray:
        """`[B]` Welch's t of every labelling, after `shift` is subtracted from all x; the observed one comes first."""

        def moments(count: int, sum_z: np.ndarray, sum_zz: np.ndarray, sum_zx: np.ndarray, sum_x: np.ndarray):
            first, second = sum_z - shift * sum_x, sum_zz - 2 * shift * sum_zx + shift * shift * sum_x
            squares = second - first * first / count
            return first / count, np.where(squares > _ROUNDING * second, squares, 0.0) / max(count - 1, 1) / count

        mean_x, error_x = moments(n, *sums)
        mean_y, error_y = moments(m, *(totals[:, None] - sums))
        gap = mean_x - mean_y
        gap[np.abs(gap) <= _ROUNDING * (np.abs(z).max() + abs(shift))] = 0.0
        if min(n, m) < 2:
            return gap  # one unit has no variance to divide by
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(gap == 0, 0.0, gap / np.sqrt(error_x + error_y))

    student = _welch(x, y)

    def p(shift: float, below: bool) -> float:
        t = statistics(shift) if below else -statistics(shift)
        with np.errstate(invalid="ignore"):
            share = float(np.mean((t <= t[0] + _ROUNDING * abs(t[0])) | (t == t[0])))
        return max(share, student(float(t[0])))

    return _difference(float(x.mean() - y.mean()), p, alpha, False, (n, m), float(np.ptp(z)))


def _welch(x: np.ndarray, y: np.ndarray) -> Callable[[float], float]:
    """P(t or less) by Welch's t of these two samples; 0 where their variances cannot be estimated."""
    from scipy.special import stdtr  # imported here to keep start-up fast

    if min(len(x), len(y)) < 2:
        return lambda t: 0.0
    errors = x.var(ddof=1) / len(x), y.var(ddof=1) / len(y)
    if sum(errors) <= _ROUNDING * max(np.abs(x).max(), np.abs(y).max()) ** 2 * _ROUNDING:
        return lambda t: 0.0
    degrees = sum(errors) ** 2 / (errors[0] ** 2 / (len(x) - 1) + errors[1] ** 2 / (len(y) - 1))
    return lambda t: float(stdtr(degrees, t))


def _difference(
    mean: float,
    p: Callable[[float, bool], float],
    alpha: float,
    paired: bool,
    counts: tuple[int, int],
    scale: float,
) -> MeanDifference:
    smallest = smallest_p(*counts, paired=paired)
    low, high = -math.inf, math.inf
    if smallest <= alpha and scale == 0:
        low = high = mean
    elif smallest <= alpha:
        step = 0.05 * scale
        low = mean - _rejection_distance(lambda distance: p(mean - distance, False) <= alpha, step)
        high = mean + _rejection_distance(lambda distance: p(mean + distance, True) <= alpha, step)
    return MeanDifference(mean, low, high, p(0.0, True), p(0.0, False), paired, counts, smallest)


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


def _labels(n: int, m: int, seed: int) -> Iterator[np.ndarray]:
    """All labellings, or random ones, in chunks `[b, n + m]` of 1 (x) and 0 (y); the observed one comes first."""
    if math.comb(n + m, n) <= MAX_PERMUTATIONS:
        x_positions = np.array(list(combinations(range(n + m), n)))
        labels = np.zeros((len(x_positions), n + m))
        np.put_along_axis(labels, x_positions, 1.0, axis=1)
        yield labels
        return
    rng = np.random.default_rng(seed)
    observed = np.r_[np.ones(n), np.zeros(m)]
    yield observed[None]
    for count in _chunk_sizes(n + m):
        yield rng.permuted(np.tile(observed, (count, 1)), axis=1)


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
