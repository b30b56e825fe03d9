"""Reward terms of ordering test cases: what a level, and the order that a cycle ran in, are worth."""

from __future__ import annotations

import numpy as np

from rl_eval.domains.qase.config import LEVELS
from rl_eval.rewards import Outcome, RewardTerm


class Pairs(RewardTerm):
    """Each case against those levelled before it in its cycle: right order 1, wrong order -1, one level 0.

    Over the number of pairs of a failing and a passing case in the cycle, so that a cycle sums to 1 when every
    failing case runs before every passing one and to -1 in the opposite order: what the order earns, told case by
    case instead of at the end. A potential-based shaping of APFD (Ng et al., ICML 1999), or, where the environment
    weighs time, of APFDc.
    """

    range = -1.0, 1.0

    def __call__(self, outcome: Outcome) -> np.ndarray:
        """`pairs` of the outcome, `[N]`."""
        return outcome["pairs"]


class FailureCount(RewardTerm):
    """At the end of a cycle, how many failures ran within the budget (RETECS, Spieker et al. 2017, eq. 3)."""

    def __call__(self, outcome: Outcome) -> np.ndarray:
        """`found` of the outcome at the end of a cycle, else 0, `[N]`."""
        return outcome["found"]


class CaseFailure(RewardTerm):
    """At each case, its own verdict times how early its level puts it (after RETECS `tcfail`, eq. 4).

    A failing case is worth its level, from 0 to 1. A passing one costs as much, times the odds of failing in its
    cycle: so the same level for all cases is worth nothing.
    """

    def __call__(self, outcome: Outcome) -> np.ndarray:
        """`[N]` by verdict, level and the cycle's share of failures."""
        early = outcome["level"] / np.float32(LEVELS - 1)
        share = outcome["failure_share"]
        odds = np.divide(share, 1 - share, out=np.zeros_like(share), where=share < 1)
        return np.where(outcome["verdict"] == 1, early, -early * odds)


class TimeRanked(RewardTerm):
    """At the end of a cycle, how far in front its failures ran: 1 before all passing cases, 0 behind them or not.

    RETECS, eq. 5, scaled.
    """

    range = 0.0, 1.0

    def __call__(self, outcome: Outcome) -> np.ndarray:
        """`time_ranked` of the outcome at the end of a cycle, else 0, `[N]`."""
        return outcome["time_ranked"]


class SecurityPassed(RewardTerm):
    """At the end of a cycle, how many passing cases of type security or behaviour negative ran."""

    def __call__(self, outcome: Outcome) -> np.ndarray:
        """`security_passed` of the outcome at the end of a cycle, else 0, `[N]`."""
        return outcome["security_passed"]
