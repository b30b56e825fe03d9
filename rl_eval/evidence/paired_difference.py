"""Is a policy better than a reference, or a multiple of it, by a margin? Both play the same seeds.

The variable is the difference of one seed, policy − factor · reference. Its mean is above zero exactly where the
policy's mean is above `factor` times the reference's.
"""

from __future__ import annotations

import numpy as np

from rl_eval.errors import InputError
from rl_eval.evidence.bounded_mean import MeanTest
from rl_eval.evidence.bounds import Side, bound_message, check_bounds, finite_vector
from rl_eval.evidence.direction import Direction


def difference_bounds(low: float, high: float, factor: float = 1.0) -> tuple[float, float]:
    """What policy − factor · reference can be, where both values are in [low, high]."""
    return low - factor * high, high - factor * low


class PairedTest(MeanTest):
    """`MeanTest` on dᵢ = policyᵢ − factor · referenceᵢ, with i the seed that both played.

    If both returns are in [low, high], d is in `difference_bounds`. What the episodes have in common (an easy start, a
    hard one) cancels. So d varies less than either return, and fewer units decide.

    A return past its bound forbids a decision as in `bounds`: the policy's own in the given direction, the reference's
    in the opposite one, since a reference that is clipped from above looks worse than it is.

    Args:
        margin: PASS is for a mean difference of at least (`at_least`) or more than (`better_than`) this.
        low, high: bounds of the returns of both.
        alpha, direction, population, limit: as of `MeanTest`.
        factor: of the reference; positive.

    Raises:
        InputError: the margin or the factor is more than the bounds allow, or an argument makes no sense.
    """

    def __init__(
        self,
        margin: float,
        low: float,
        high: float,
        alpha: float = 0.05,
        direction: Direction = "better_than",
        population: int | None = None,
        limit: int | None = None,
        factor: float = 1.0,
    ) -> None:
        check_bounds(low, high)
        super().__init__(margin, *difference_bounds(low, high, factor), alpha, direction, population, limit)
        self._factor = factor
        self._return_bounds: dict[Side, float] = {"lower": low, "upper": high}

    def extend(self, policy: np.ndarray, reference: np.ndarray) -> None:  # type: ignore[override]
        """Add `[n]` returns of each, in the order of the seeds they share; NaN if the metric is undefined.

        A unit on which one of them is undefined says nothing about the difference.

        Raises:
            InputError: the two differ in length, are empty, or hold an infinite value.
        """
        policy = finite_vector(policy, "policy return", undefined=True)
        reference = finite_vector(reference, "reference return", undefined=True)
        if len(policy) != len(reference):
            raise InputError(
                f"there are {len(policy)} policy returns and {len(reference)} reference returns: "
                "both must have played the same seeds"
            )
        low, high = self._return_bounds["lower"], self._return_bounds["upper"]
        # the side of the difference that becomes unsafe, whose return did it, and which of its bounds was passed
        self._note_violation("lower", policy < low, lambda i, d: self._message("policy", "lower", policy, i, d))
        self._note_violation("upper", policy > high, lambda i, d: self._message("policy", "upper", policy, i, d))
        self._note_violation(
            "lower", reference > high, lambda i, d: self._message("reference", "upper", reference, i, d)
        )
        self._note_violation(
            "upper", reference < low, lambda i, d: self._message("reference", "lower", reference, i, d)
        )
        self._append(policy - self._factor * reference)

    def _message(self, policy: str, side: Side, returns: np.ndarray, index: int, decision: str) -> str:
        unit = self.units + index
        return bound_message(side, self._return_bounds[side], float(returns[index]), unit, decision, policy)
