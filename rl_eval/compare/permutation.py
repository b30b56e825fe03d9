"""Is the mean of one sample below that of another? Permutation tests, exact where all permutations are tried.

Paired: the signs of the differences are flipped (Fisher 1935), which is exact where a difference is as likely to be d
as −d. Unpaired: the labels of the two samples are dealt out anew and Welch's t is compared, which is exact where both
come from one distribution, and right for large samples where only their means agree (Janssen 1997, *Studentized
permutation tests for non-i.i.d. hypotheses*; Chung & Romano 2013, *Exact and asymptotically robust permutation tests*).
No shape is assumed. Where few runs vary much beside many that do not, labels dealt out anew are too sure: the p-value
is therefore that of Welch's t by Student's distribution, where that is larger. The interval holds the shifts that the
same test does not reject, so it and the p-values agree.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from rl_eval.errors import InputError

# Up to so many permutations all of them are tried; beyond, so many are drawn.
MOST = 1 << 15
_ROUNDING = 1e-9
_DOUBLINGS, _HALVINGS = 40, 30
_ENTRIES = 1 << 22  # of signs or labels that are held at once


@dataclass(frozen=True)
class Difference:
    """Mean of x minus mean of y, and what speaks for its sign.

    Attributes:
        low, high: the shifts that neither one-sided test rejects at alpha, a 1−2·alpha interval; infinite where the
            samples are too small to reject any.
        p_below, p_above: of "it is not below 0" and "it is not above 0": small where the data speak against that.
        paired: whether x and y belong together one by one.
        counts: the units of x and of y.
        smallest: no p-value of so many units can be smaller.
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
    return max(2.0**-x if paired else 1.0 / math.comb(x + y, x), 1.0 / MOST)


def paired_difference(x: np.ndarray, y: np.ndarray, alpha: float = 0.05, seed: int = 0) -> Difference:
    """The mean of x − y, `[n]` each, by flipping signs.

    Raises:
        InputError: the two differ in length, are empty, or hold a value that is not finite.
    """
    d = _checked(x) - _checked(y)
    n = len(d)
    flipped, ones = np.concatenate([[signs @ d, signs.sum(axis=1)] for signs in _signs(n, seed)], axis=1) / n
    mean, size = float(d.mean()), float(np.abs(d).max())

    def p(shift: float, below: bool) -> float:
        room = _ROUNDING * (size + abs(shift))
        moved, seen = flipped - shift * ones, mean - shift
        return float(np.mean(moved <= seen + room if below else moved >= seen - room))

    return _described(mean, p, alpha, True, (n, n), float(np.ptp(d)))


def unpaired_difference(x: np.ndarray, y: np.ndarray, alpha: float = 0.05, seed: int = 0) -> Difference:
    """The mean of x `[n]` minus the mean of y `[m]`, by dealing out the labels anew.

    Raises:
        InputError: a sample is empty, or holds a value that is not finite.
    """
    x, y = _checked(x), _checked(y)
    n, m = len(x), len(y)
    z = np.concatenate([x, y])
    z = z - z.mean()
    ours = np.r_[np.ones(n), np.zeros(m)]
    columns = np.stack([z, z * z, z * ours, ours], axis=1)
    sums = np.concatenate([labels @ columns for labels in _labels(n, m, seed)]).T
    totals = columns.sum(axis=0)

    def statistics(shift: float) -> np.ndarray:
        """`[B]` of every labelling, where `shift` is first taken from all x; that of the data comes first."""

        def moments(count: int, sum_z: np.ndarray, sum_zz: np.ndarray, sum_zo: np.ndarray, sum_o: np.ndarray):
            first, second = sum_z - shift * sum_o, sum_zz - 2 * shift * sum_zo + shift * shift * sum_o
            left = second - first * first / count
            return first / count, np.where(left > _ROUNDING * second, left, 0.0) / max(count - 1, 1) / count

        mean_x, error_x = moments(n, *sums)
        mean_y, error_y = moments(m, *(totals[:, None] - sums))
        apart = mean_x - mean_y
        apart[np.abs(apart) <= _ROUNDING * (np.abs(z).max() + abs(shift))] = 0.0
        if min(n, m) < 2:
            return apart  # one unit has no variance to divide by
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(apart == 0, 0.0, apart / np.sqrt(error_x + error_y))

    student = _welch(x, y)

    def p(shift: float, below: bool) -> float:
        t = statistics(shift) if below else -statistics(shift)
        with np.errstate(invalid="ignore"):
            share = float(np.mean((t <= t[0] + _ROUNDING * abs(t[0])) | (t == t[0])))
        return max(share, student(float(t[0])))

    return _described(float(x.mean() - y.mean()), p, alpha, False, (n, m), float(np.ptp(z)))


def _welch(x: np.ndarray, y: np.ndarray) -> Callable[[float], float]:
    """P(t or less) by Welch's t of these two samples; 0 where their variances cannot be told."""
    from scipy.special import stdtr  # start-up must not pay for scipy

    if min(len(x), len(y)) < 2:
        return lambda t: 0.0
    errors = x.var(ddof=1) / len(x), y.var(ddof=1) / len(y)
    if sum(errors) <= _ROUNDING * max(np.abs(x).max(), np.abs(y).max()) ** 2 * _ROUNDING:
        return lambda t: 0.0
    freedom = sum(errors) ** 2 / (errors[0] ** 2 / (len(x) - 1) + errors[1] ** 2 / (len(y) - 1))
    return lambda t: float(stdtr(freedom, t))


def _described(
    mean: float,
    p: Callable[[float, bool], float],
    alpha: float,
    paired: bool,
    counts: tuple[int, int],
    scale: float,
) -> Difference:
    smallest = smallest_p(*counts, paired=paired)
    low, high = -math.inf, math.inf
    if smallest <= alpha and scale == 0:
        low = high = mean
    elif smallest <= alpha:
        step = 0.05 * scale
        low = mean - _edge(lambda away: p(mean - away, False) <= alpha, step)
        high = mean + _edge(lambda away: p(mean + away, True) <= alpha, step)
    return Difference(mean, low, high, p(0.0, True), p(0.0, False), paired, counts, smallest)


def _edge(rejected: Callable[[float], bool], step: float) -> float:
    """How far from the estimate the shifts begin that are rejected; infinite where none is."""
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
    """All sign patterns `[b, n]` part by part, the data's own first; else that one and as many as fit."""
    if n < 40 and 2**n <= MOST:
        bits = np.arange(2**n)[:, None] >> np.arange(n) & 1
        yield 1.0 - 2.0 * bits
        return
    rng = np.random.default_rng(seed)
    yield np.ones((1, n))
    for count in _parts(n):
        yield 1.0 - 2.0 * rng.integers(0, 2, (count, n), dtype=np.int8)


def _labels(n: int, m: int, seed: int) -> Iterator[np.ndarray]:
    """All ways to call n of n + m units x, `[b, n + m]` of 0 and 1 part by part, the data's own first; else drawn."""
    if math.comb(n + m, n) <= MOST:
        chosen = np.array(list(combinations(range(n + m), n)))
        labels = np.zeros((len(chosen), n + m))
        np.put_along_axis(labels, chosen, 1.0, axis=1)
        yield labels
        return
    rng = np.random.default_rng(seed)
    own = np.r_[np.ones(n), np.zeros(m)]
    yield own[None]
    for count in _parts(n + m):
        yield rng.permuted(np.tile(own, (count, 1)), axis=1)


def _parts(width: int) -> Iterator[int]:
    """How many permutations to draw at a time, so that they fit the memory; `MOST` with the data's own."""
    left, at_once = MOST - 1, max(1, _ENTRIES // width)
    while left > 0:
        yield min(left, at_once)
        left -= at_once


def _checked(values: np.ndarray) -> np.ndarray:
    values = np.asarray(values, np.float64)
    if values.ndim != 1 or len(values) == 0 or not np.isfinite(values).all():
        raise InputError("a comparison needs at least one number on each side, all of them finite")
    return values
