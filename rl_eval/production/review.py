"""Which decisions a person sees: a bound on confidence, calibrated so that decisions without a person are rarely wrong.

On n held-out decisions it is known which were wrong. For a bound t the share of errors among decisions with a
confidence above t has the upper limit of Clopper and Pearson (1934). Bounds are tested in an order that is fixed
beforehand, each at the same level, until one fails (fixed-sequence testing, as in Angelopoulos et al., *Learn then
test*, 2021, arXiv 2110.01052; for one bound it is Geifman and El-Yaniv 2017, arXiv 1705.08500). An order starts at the
coverage that is asked for, at δ/2, and goes on to larger ones; four others, at δ/8 each, start at a fifth of it, two
fifths and so on. So with
probability 1 − δ over the held-out data the error of what is decided without a person is at most the one stated, for
any policy, as long as later decisions are draws from the same source: calibrate again for each champion and after
drift.

A person's override always wins. `Override` records it, with what it replaced.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from rl_eval.errors import InputError

STEPS = 50  # bounds of an order
# Where an order starts, as a share of the coverage that is asked for, and its share of δ.
STARTS = ((1.0, 1 / 2), (0.8, 1 / 8), (0.6, 1 / 8), (0.4, 1 / 8), (0.2, 1 / 8))


@dataclass(frozen=True)
class ReviewBound:
    """The calibrated bound.

    Attributes:
        threshold: decisions with a confidence above it are made without a person; inf: none are.
        error: the stated share of errors.
        delta: the chance that it is not kept.
        decisions: whose outcome is known; `alone` of them were above the threshold, and `wrong` of these were wrong.
    """

    threshold: float
    error: float
    delta: float
    decisions: int
    alone: int
    wrong: int

    @property
    def coverage(self) -> float:
        """The share of held-out decisions made without a person."""
        return self.alone / self.decisions

    def needs_review(self, confidence: float | None) -> bool:
        """Whether a person must see a decision; one whose policy states no confidence is always seen."""
        return confidence is None or not confidence > self.threshold

    def to_json(self) -> dict[str, Any]:
        """Plain values; without a bound, threshold, `alone` and `wrong` are None, since none was measured."""
        unbounded = {"threshold": None, "alone": None, "wrong": None}
        return {**asdict(self), **(unbounded if math.isinf(self.threshold) else {})}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> ReviewBound:
        """The bound that `to_json` gave.

        Raises:
            InputError: it is not one.
        """
        try:
            if values["threshold"] is None:
                values = {**values, "threshold": math.inf, "alone": 0, "wrong": 0}
            bound = cls(**{**values, "threshold": (threshold := float(values["threshold"]))})
            counts = (bound.wrong, bound.alone, bound.decisions)
            if not all(isinstance(count, int) for count in counts) or list(counts) != sorted(counts):
                raise ValueError
            if math.isnan(threshold) or not (0 < bound.error < 1 and 0 < bound.delta < 1 and bound.decisions > 0):
                raise ValueError
        except (KeyError, TypeError, ValueError) as error:
            raise InputError("the review bound is damaged: calibrate it again") from error
        return bound


def calibrate(
    confidences: np.ndarray, wrong: np.ndarray, *, error: float = 0.05, delta: float = 0.05, coverage: float = 0.8
) -> ReviewBound:
    """The bound that decides the most without a person.

    Args:
        confidences: `[n]` of held-out decisions that neither training nor selection has seen.
        wrong: bool `[n]`, which were wrong.
        error: largest share of errors among what is decided without a person, in (0, 1).
        delta: the chance that the bound is not kept, in (0, 1).
        coverage: the share to be decided without a person, where one order starts.

    Raises:
        InputError: lengths differ, there are none, or a value makes no sense.
    """
    confidences, wrong = np.asarray(confidences, np.float64), np.asarray(wrong, bool)
    if confidences.ndim != 1 or confidences.shape != wrong.shape or not len(wrong):
        raise InputError(f"{confidences.shape} confidences and {wrong.shape} outcomes: give one of each per decision")
    if not np.isfinite(confidences).all():
        raise InputError("a confidence is not finite: leave such decisions out")
    if not (0 < error < 1 and 0 < delta < 1 and 0 <= coverage <= 1):
        raise InputError(f"error={error:g}, delta={delta:g} and coverage={coverage:g} must be shares")
    count = len(wrong)
    descending = np.sort(confidences)[::-1]
    best = ReviewBound(math.inf, error, delta, count, 0, 0)
    for share, level in STARTS:
        sizes = np.linspace(max(share * coverage * count, 1.0), count, STEPS).round().astype(int)
        for size in np.unique(sizes).tolist():
            threshold = float(descending[size]) if size < count else -math.inf
            above = confidences > threshold
            alone, errors = int(above.sum()), int(wrong[above].sum())
            if not alone:  # all are as confident as the next
                continue
            if _upper_limit(errors, alone, level * delta) > error:
                break
            if alone > best.alone:
                best = ReviewBound(threshold, error, delta, count, alone, errors)
    if best.threshold == -math.inf:  # JSON has no infinity, and no confidence is below this
        best = ReviewBound(-1.0, error, delta, count, best.alone, best.wrong)
    return best


def _upper_limit(errors: int, count: int, level: float) -> float:
    """The largest share of errors that so few do not refute (Clopper and Pearson 1934)."""
    if errors >= count:
        return 1.0
    from scipy.stats import beta

    return float(beta.ppf(1 - level, errors + 1, count - errors))


@dataclass(frozen=True)
class Override:
    """What a person decided in the place of the policy.

    Attributes:
        decided: the policy's action.
        action: the person's.
        reviewer: who, as the operator names people.
        at: seconds since 1970.
    """

    decision_id: str
    decided: Any
    action: Any
    reviewer: str
    at: float
    reason: str = ""

    def __post_init__(self) -> None:
        if not self.reviewer.strip():
            raise InputError(f"the override of {self.decision_id} names no reviewer: say who decided")

    def to_json(self) -> dict[str, Any]:
        """Plain values, as the audit log holds them."""
        return asdict(self)


def decided(decision_id: str, action: Any, overrides: Iterable[Override]) -> Any:
    """What counts: the latest override of a decision, at any confidence; the policy's action without one."""
    own: Sequence[Override] = [override for override in overrides if override.decision_id == decision_id]
    return max(own, key=lambda override: override.at).action if own else action
