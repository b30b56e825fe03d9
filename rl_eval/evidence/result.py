"""The result of a test, and about how many units it still needs."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, isfinite, log
from typing import Literal

from rl_eval.evidence.bounds import check_bounds
from rl_eval.evidence.capital_process import TRUNCATION

Verdict = Literal["PASS", "FAIL", "INCONCLUSIVE"]


@dataclass(frozen=True)
class EvidenceResult:
    """A decision and its evidence, at the moment of the decision.

    Attributes:
        decision: PASS, FAIL or INCONCLUSIVE (not enough evidence yet).
        stopped_at: units used until the decision; all of them where it is INCONCLUSIVE.
        estimate: the plain metric of these units; None while it is undefined.
        interval: covers the true value at all times together with probability 1−2α; an end is infinite where a value
            is past that bound, since nothing is known there.
        more: about how many further units would decide; None where decided or where it cannot be said.
        forbids: decisions that values past the bounds made unsafe.
        message: why they are forbidden, else empty.
    """

    decision: Verdict
    stopped_at: int
    estimate: float | None
    interval: tuple[float, float]
    more: int | None = None
    forbids: frozenset[str] = frozenset()
    message: str = ""


def units_needed(
    estimate: float,
    std: float,
    theta: float,
    low: float,
    high: float,
    alpha: float = 0.05,
    log_capital: float = 0.0,
) -> int | None:
    """About how many further units would decide, if they are like the units so far.

    With δ = estimate − θ and σ = std, both on the scale of [0, 1], the truncated bet λ = δ / (σ² + δ²) makes log K grow
    by about g = λδ − ½λ²(σ² + δ²) a unit, so (log 1/α − log K) / g units are missing. The expansion is of second order
    and takes the estimate for the truth: it is a hint for planning, no guarantee.

    Args:
        estimate, std: of the units so far, in the units of `low` and `high`.
        theta: what the mean is compared with.
        log_capital: log K so far of the side that the estimate is on.

    Returns:
        A count of at least 1, or None where the estimate is on the threshold.

    Raises:
        InputError: the bounds are not a range.
    """
    check_bounds(low, high)
    width = high - low
    gap, m = (estimate - theta) / width, (theta - low) / width
    second_moment = (std / width) ** 2 + gap * gap
    if gap == 0 or not isfinite(second_moment):
        return None
    distance = m if gap > 0 else 1 - m
    largest_bet = TRUNCATION / distance if distance > 0 else float("inf")
    bet = min(abs(gap) / second_moment, largest_bet)
    growth = bet * abs(gap) - bet * bet * second_moment / 2
    return max(1, ceil((log(1 / alpha) - log_capital) / growth))
