"""What runs show of training again: who wins more often, and whose mean is higher. No distribution is assumed.

A recipe that fails in one of ten runs looks better than it is in more than half of the samples of five. So a claim
about the *mean* needs bounds of the scores and enough runs to exclude a rare collapse. A claim about *who wins more
often* needs neither, and is another claim: it does not say by how much.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

# Fractions of the largest possible bet. 0 keeps what the other sample has shown.
_FRACTIONS = np.array([0.0, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0])
_CELLS = 256  # of candidates for a mean
_BISECTIONS = 30
_FARTHEST = 1 - 1e-6  # the largest difference that is tried
MAX_RUNS = 1 << 14  # the search for the least number of runs ends here


@dataclass(frozen=True)
class PairWins:
    """How often a run of x scores higher than the run of y that it is paired with.

    Attributes:
        wins, losses, ties: pairs of runs; each run is in one pair at most.
        share: wins of the pairs without ties; NaN if all are ties.
        low, high: 1−2·alpha interval of the probability that x wins where there is no tie (Clopper and Pearson 1934).
        p_below, p_above: p-values of "x does not lose more often" and of "x does not win more often" (sign tests).
    """

    wins: int
    losses: int
    ties: int
    share: float
    low: float
    high: float
    p_below: float
    p_above: float


def pair_wins(x: np.ndarray, y: np.ndarray, alpha: float = 0.05) -> PairWins:
    """Exact sign tests of pairs of runs `[n]`, for any distributions; the pairs must be independent."""
    from scipy.special import bdtr, bdtrc, betaincinv  # imported here to keep start-up fast

    wins, losses = int((x > y).sum()), int((x < y).sum())
    n = wins + losses
    p_below = float(bdtr(wins, n, 0.5)) if n else 1.0
    p_above = float(bdtrc(wins - 1, n, 0.5)) if wins else 1.0
    low = float(betaincinv(wins, losses + 1, alpha)) if wins else 0.0
    high = float(betaincinv(wins + 1, losses, 1 - alpha)) if losses else 1.0
    return PairWins(wins, losses, len(x) - n, wins / n if n else math.nan, low, high, p_below, p_above)


def least_pairs(alpha: float) -> int:
    """The number of pairs below which no sign test can decide: 2⁻ⁿ ≤ alpha."""
    return math.ceil(math.log2(1 / alpha) - 1e-9)


@dataclass(frozen=True)
class BoundedDifference:
    """The difference of two means of bounded scores, over runs to come.

    Attributes:
        estimate: of these runs.
        low, high: 1−2·alpha interval.
        p_below, p_above: p-values of "x's mean is not below y's" and of "not above".
        least_runs: below this number of runs of each, no runs with these means could decide; None if they are
            equal, or where it is more than MAX_RUNS.
    """

    estimate: float
    low: float
    high: float
    p_below: float
    p_above: float
    least_runs: int | None


def bounded_difference(
    x: np.ndarray, y: np.ndarray, bounds: tuple[float, float], alpha: float = 0.05, pairs: int = 0
) -> BoundedDifference:
    """Test and interval of mean(x) − mean(y) by betting.

    If μx ≤ μy + δ, then some θ has μx ≤ θ and μy ≥ θ − δ. Against both, bets with fixed stakes on every run multiply a
    capital whose expectation is at most 1; averaged over the stakes it is still so. The infimum over θ of that capital
    therefore reaches 1/α with probability at most α (Ville; Waudby-Smith and Ramdas 2024, section 4). It is taken on
    cells of θ, with each bet at the end of the cell where it pays less, so it is a lower bound. The order of the runs
    does not matter.

    Args:
        x, y: `[n]` and `[m]` scores within the bounds.
        bounds: the least and the most that a run can score.
        pairs: the first so many of both share their seed and may depend on each other: the stakes on such a pair are
            added instead of multiplied.
    """
    low, high = bounds
    width = high - low
    x, y = np.clip((x - low) / width, 0.0, 1.0), np.clip((y - low) / width, 0.0, 1.0)
    estimate, bar = float(x.mean() - y.mean()), math.log(1 / alpha)

    def above(shift: float) -> float:
        return _log_capital(x, y, shift, pairs)

    def below(shift: float) -> float:
        return _log_capital(y, x, -shift, pairs)

    lower = _last_rejected(lambda shift: above(shift) >= bar, -_FARTHEST, estimate)
    upper = _last_rejected(lambda shift: below(shift) >= bar, _FARTHEST, estimate)
    p_below, p_above = (math.exp(-max(0.0, log_capital)) for log_capital in (below(0.0), above(0.0)))
    least = _least_runs(x.mean(), y.mean(), bar, paired=pairs > 0)
    return BoundedDifference(estimate * width, lower * width, upper * width, p_below, p_above, least)


def _log_capital(x: np.ndarray, y: np.ndarray, shift: float, pairs: int, copies: int = 1) -> float:
    """Log of the capital against "mean of x ≤ mean of y + shift", the infimum over all θ.

    Args:
        copies: how often each run counts.
    """
    edges = np.linspace(max(0.0, shift), min(1.0, 1.0 + shift), _CELLS + 1)
    if edges[-1] <= edges[0]:
        return 0.0
    # what a full bet on "above θ" gains on each x, and on "below θ − shift" on each y, at the worst end of the cell
    gain_x = x / edges[1:, None] - 1
    gain_y = (1 - y) / (1 - (edges[:-1, None] - shift)) - 1
    with np.errstate(divide="ignore"):
        total = np.zeros(_CELLS)
        if pairs:
            first, second = np.meshgrid(_FRACTIONS, _FRACTIONS)
            possible = first + second <= 1
            stakes = first[possible], second[possible]
            both = [
                stake[:, None] * gain[:, None, :pairs] for stake, gain in zip(stakes, (gain_x, gain_y), strict=True)
            ]
            total += _mixture(np.log1p(np.maximum(both[0] + both[1], -1.0)), copies)
        for gain in (gain_x[:, pairs:], gain_y[:, pairs:]):
            if gain.shape[1]:
                total += _mixture(np.log1p(np.maximum(_FRACTIONS[:, None] * gain[:, None, :], -1.0)), copies)
    return float(total.min())


def _mixture(log_factors: np.ndarray, copies: int) -> np.ndarray:
    """`[cells]` log of the mean over stakes of the product over runs of `[cells, stakes, runs]` factors."""
    logs = copies * log_factors.sum(axis=-1)
    largest = logs.max(axis=-1, keepdims=True)  # finite: a stake of 0 has 0
    return largest[:, 0] + np.log(np.exp(logs - largest).mean(axis=-1))


def _last_rejected(rejected: Callable[[float], bool], far: float, near: float) -> float:
    """The end of the interval: the last shift from `far` towards the estimate that is rejected."""
    if not rejected(far):
        return math.copysign(1.0, far)
    for _ in range(_BISECTIONS):
        middle = (far + near) / 2
        far, near = (middle, near) if rejected(middle) else (far, middle)
    return far


def _least_runs(mean_x: float, mean_y: float, bar: float, *, paired: bool) -> int | None:
    """The least number of runs of each with these means that could decide: equal scores are what decides soonest.

    The log of every bet is concave in the scores, so by Jensen's inequality runs that differ gain less.
    """
    high, low = (np.array([mean]) for mean in (max(mean_x, mean_y), min(mean_x, mean_y)))

    def decides(count: int) -> bool:
        return _log_capital(high, low, 0.0, int(paired), count) >= bar

    most = 1
    while not decides(most):
        most *= 2
        if most > MAX_RUNS:
            return None
    least = most // 2 + 1
    while least < most:
        middle = (least + most) // 2
        least, most = (least, middle) if decides(middle) else (middle + 1, most)
    return most
