"""Mean and variance over training runs whose values are bounded: tests that assume no distribution."""

from __future__ import annotations

from collections.abc import Callable
from math import ceil, exp, log, log1p, pi, sqrt
from statistics import NormalDist
from typing import Literal

import numpy as np

from rl_eval.errors import InputError
from rl_eval.evidence.bounds import check_bounds
from rl_eval.evidence.direction import Direction, wants_above
from rl_eval.evidence.result import EvidenceResult, Verdict

Statistic = Literal["mean", "variance", "std"]

_MOST_RUNS = 1000  # the search for the number of runs that would decide ends here
_STAKES = np.geomspace(0.02, 1.0, 24)  # of the largest bet
_ALMOST_ALL = 1e-12
_BISECTIONS = 20
_NORMAL = NormalDist()


def is_above(units: np.ndarray, m: float, alpha: float) -> bool:
    """Whether the mean is shown to be above m; wrong with probability ≤ α.

    As `betting.OneSidedBet`, for a number of units that is fixed beforehand and may be a handful: a bet may risk all
    of the capital. It is the largest of three, each of which depends only on earlier units: the mean of 24 fixed bets
    weighted by their capital; the hedge of a digital option on the capital 1/α after the last unit; and the bet that
    reaches 1/α if every unit left is 1. So n units that are all 1 decide exactly where mⁿ ≤ α, the least number with
    which any test can.

    Args:
        units: `[n]` in [0, 1], in an order that does not depend on them.
        m: in (0, 1).
    """
    target, log_capital, squares = log(1 / alpha), 0.0, m * (1 - m)
    fixed = np.zeros(len(_STAKES))
    for index, unit in enumerate(units.tolist()):
        left = len(units) - index
        weights = np.exp(fixed - fixed.max())
        universal = float(weights @ _STAKES / weights.sum())
        hopeful = m / (1 - m) * (exp(min((target - log_capital) / left, 700.0)) - 1)
        q = max(exp(log_capital - target), 1e-300)
        z = _NORMAL.inv_cdf(min(q, 1 - 1e-12))
        hedge = m * exp(-z * z / 2) / (sqrt(2 * pi) * q) / sqrt(squares / (index + 1) * left)
        gain = unit / m - 1  # of the largest bet, 1 / m
        log_capital += log1p(max(min(max(universal, hopeful, hedge), 1.0) * gain, _ALMOST_ALL - 1))
        if log_capital >= target - 1e-9:
            return True
        fixed += np.log1p(np.maximum(_STAKES * gain, _ALMOST_ALL - 1))
        squares += (unit - m) ** 2
    return False


def decide_bounded_runs(
    values: np.ndarray,
    theta: float,
    bounds: tuple[float, float],
    statistic: Statistic,
    alpha: float,
    direction: Direction,
) -> EvidenceResult:
    """PASS or FAIL where the bets decide, else INCONCLUSIVE; each error has probability ≤ α.

    The mean is bet on directly. For the variance the runs are taken in pairs, in their order: (x₁ − x₂)² is in [0, w²]
    for bounds of the width w, and its mean is twice the variance. A deviation is the root of a variance.

    Args:
        values: `[R]` within the bounds, R ≥ 2, in an order that does not depend on them.
        theta: the threshold of the statistic.

    Raises:
        InputError: the bounds are not a range, or a value is outside of them.
    """
    check_bounds(*bounds)
    low, high = bounds
    outside = values[(values < low) | (values > high)]
    if len(outside):
        raise InputError(
            f"a run has {outside[0]:g}, outside the bounds [{low:g}, {high:g}] of the evidence: give bounds that hold"
        )
    units, to_unit, from_unit = _scale(values, bounds, statistic)
    m = to_unit(theta)
    above, below = _rejects_below(units, m, alpha), _rejects_below(1 - units, 1 - m, alpha)
    passed, failed = (above, below) if wants_above(direction) else (below, above)
    verdict: Verdict = "FAIL" if failed else "PASS" if passed else "INCONCLUSIVE"
    estimate = float(values.mean() if statistic == "mean" else values.var(ddof=1))
    estimate = sqrt(estimate) if statistic == "std" else estimate
    lower = from_unit(_end(lambda end: _rejects_below(units, end, alpha)))
    upper = from_unit(1 - _end(lambda end: _rejects_below(1 - units, end, alpha)))
    if statistic != "mean":  # a variance of bounded values is at most w² / 4
        upper = min(upper, from_unit(0.5))
    held = [estimate] if verdict != "INCONCLUSIVE" else [estimate, theta]
    interval = min(lower, *held), max(upper, *held)
    more = _more_runs(values, theta, bounds, statistic, alpha) if verdict == "INCONCLUSIVE" else None
    return EvidenceResult(
        verdict, None if verdict == "INCONCLUSIVE" else len(values), len(values), estimate, interval, more
    )


def least_runs(
    theta: float, bounds: tuple[float, float], statistic: Statistic, alpha: float, direction: Direction
) -> int | None:
    """The least number of runs that can pass, with the best values; None if no number can."""
    _, to_unit, _ = _scale(np.zeros(2) + bounds[0], bounds, statistic)
    m = to_unit(theta) if wants_above(direction) else 1 - to_unit(theta)
    if m >= 1:
        return None
    units = 1 if m <= 0 else max(1, ceil(log(alpha) / log(m) - 1e-9))
    return max(2, units if statistic == "mean" else 2 * units)


def _scale(
    values: np.ndarray, bounds: tuple[float, float], statistic: Statistic
) -> tuple[np.ndarray, Callable[[float], float], Callable[[float], float]]:
    """Units in [0, 1] that are bet on, and the maps between the statistic and their mean."""
    low, high = bounds
    width = high - low
    if statistic == "mean":
        return (values - low) / width, lambda theta: (theta - low) / width, lambda m: low + m * width
    even = len(values) // 2 * 2
    units = ((values[0:even:2] - values[1:even:2]) / width) ** 2
    if statistic == "variance":
        return units, lambda theta: 2 * theta / width**2, lambda m: m * width**2 / 2
    return units, lambda theta: 2 * (theta / width) ** 2, lambda m: width * sqrt(max(m, 0.0) / 2)


def _rejects_below(units: np.ndarray, m: float, alpha: float) -> bool:
    """Whether "the mean is at most m" is refuted; the ends need no evidence."""
    if m <= 0:
        return m < 0 or bool(units.max() > 0)
    return m < 1 and is_above(units, m, alpha)


def _end(rejected: Callable[[float], bool]) -> float:
    """The largest mean that is refuted."""
    low, high = 0.0, 1.0
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        low, high = (middle, high) if rejected(middle) else (low, middle)
    return low


def _more_runs(
    values: np.ndarray, theta: float, bounds: tuple[float, float], statistic: Statistic, alpha: float
) -> int | None:
    """About how many further runs would decide if they were like these, in steps of a quarter."""
    units, to_unit, _ = _scale(values, bounds, statistic)
    m, each = to_unit(theta), len(values) / len(units)
    count = len(units)
    while count * each <= _MOST_RUNS:
        count = ceil(count * 1.25)
        longer = np.resize(units, count)
        if _rejects_below(longer, m, alpha) or _rejects_below(1 - longer, 1 - m, alpha):
            return max(1, round(count * each) - len(values))
    return None
