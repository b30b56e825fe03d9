"""Reward terms of the Qase domain: for the level of a case, and for the order of a cycle."""

from __future__ import annotations

import numpy as np

from rl_eval.domains.qase.config import LEVELS
from rl_eval.rewards import Outcome, RewardTerm


class Pairs(RewardTerm):
    """Compare each case with those levelled before it in its cycle: right order 1, wrong order -1, equal levels 0.

    Divided by the number of pairs of a failing and a passing case in the cycle. The sum over a cycle is 1 if every
    failing case runs before every passing one, and -1 in the opposite order. This is potential-based shaping of APFD
    (Ng et al., ICML 1999), or of APFDc if time counts.
    """

    range = -1.0, 1.0

    def __call__(self, outcome: Outcome) -> np.ndarray:
        """`pairs` of the outcome, `[N]`."""
        return outcome["pairs"]


class FailureCount(RewardTerm):
    """At the end of a cycle, the number of failures that ran within the budget (RETECS, Spieker et al. 2017, eq. 3)."""

    def __call__(self, outcome: Outcome) -> np.ndarray:
        """`found` of the outcome at the end of a cycle, else 0, `[N]`."""
        return outcome["found"]


class CaseFailure(RewardTerm):
    """For each case, its verdict times its level (after RETECS `tcfail`, eq. 4).

    A failing case earns its level, scaled to 0 to 1. A passing case costs its level times the odds of failing in its
    cycle, so that equal levels for all cases earn 0.
    """

    def __call__(self, outcome: Outcome) -> np.ndarray:
        """`[N]` by verdict, level and the cycle's share of failures."""
        early = outcome["level"] / np.float32(LEVELS - 1)
        share = outcome["failure_share"]
        odds = np.divide(share, 1 - share, out=np.zeros_like(share), where=share < 1)
        return np.where(outcome["verdict"] == 1, early, -early * odds)


class TimeRanked(RewardTerm):
    """At the end of a cycle, how early its failures ran: 1 before all passing cases, 0 after them or not at all.

    RETECS, eq. 5, scaled.
    """

    range = 0.0, 1.0

    def __call__(self, outcome: Outcome) -> np.ndarray:
        """`time_ranked` of the outcome at the end of a cycle, else 0, `[N]`."""
        return outcome["time_ranked"]


class SecurityPassed(RewardTerm):
    """At the end of a cycle, the number of passing cases of type security or behaviour negative ran."""

    def __call__(self, outcome: Outcome) -> np.ndarray:
        """`security_passed` of the outcome at the end of a cycle, else 0, `[N]`."""
        return outcome["security_passed"]
