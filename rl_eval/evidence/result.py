"""The result of a test, and about how many units it still needs."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, inf, isfinite, log
from statistics import NormalDist
from typing import Literal

Verdict = Literal["PASS", "FAIL", "INCONCLUSIVE"]


@dataclass(frozen=True)
class EvidenceResult:
    """A decision, and the estimate of everything that was played.

    Attributes:
        decision: PASS, FAIL or INCONCLUSIVE (not enough evidence yet).
        decided_at: units after which the evidence sufficed; None if it is INCONCLUSIVE.
        units: how many were played, those after the decision included.
        estimate: the plain metric of all units played; None while it is undefined.
        interval: of the true value, with probability 1−2α, from all units played. It contains the estimate; after a
            decision it may contain the threshold again. An end is infinite where a value is past that bound, since
            nothing is known there.
        more: about how many further units would decide; None if decided or unknown.
        forbids: decisions that values past the bounds made unsafe.
        message: why they are forbidden, else empty.
    """

    decision: Verdict
    decided_at: int | None
    units: int
    estimate: float | None
    interval: tuple[float, float]
    more: int | None = None
    forbids: frozenset[str] = frozenset()
    message: str = ""


# The chance to decide that the advice aims at, as a quantile of the normal distribution: .8.
_POWER_QUANTILE = 0.84


# What the bets that learn how much to bet lose against the best fixed bet, in logs of the capital: near ½ log n.
_REGRET = 2.5


def units_needed(gap: float, second_moment: float, units: int, alpha: float, most_growth: float = inf) -> int | None:
    """About how many further units would decide, if they are like the units so far.

    A fixed number n of units with mean δ and second moment s² about the threshold passes a test at level α with
    probability .8 where δ √n / s = z(1−α) + .84; bets that aim at a limit need about a sixth more. It takes the
    estimate for the truth: a hint for planning.

    Args:
        gap: δ, the distance of the estimate from the threshold.
        second_moment: s².
        units: those so far.
        most_growth: of log capital per unit, with the largest bet; it limits where units hardly vary.

    Returns:
        A count of at least 1 and at least half of the units so far, or None if the estimate is on the threshold.
    """
    if gap == 0 or not isfinite(second_moment) or second_moment <= 0:
        return None
    quantile = _POWER_QUANTILE - NormalDist().inv_cdf(alpha)  # 1 - alpha may round to 1
    needed = max(1.17 * quantile**2 * second_moment / gap**2, (_REGRET - log(alpha)) / most_growth)
    return max(ceil(needed) - units, units // 2, 1)
