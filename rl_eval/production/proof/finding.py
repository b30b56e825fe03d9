"""`Finding`: what one part of a proof says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Decision = Literal["PASS", "FAIL", "INCONCLUSIVE", "NOT_CHECKED"]
WORST: tuple[Decision, ...] = ("FAIL", "INCONCLUSIVE", "PASS", "NOT_CHECKED")


@dataclass(frozen=True)
class Finding:
    """One part of a proof.

    Attributes:
        part: suite:<name>, off_policy, forgetting, transfer or robustness.
        reason: one sentence with the figures.
    """

    part: str
    decision: Decision
    reason: str
