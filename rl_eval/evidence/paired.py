"""Is a policy better than a reference by a margin? Both play the same seeds, the difference is the variable."""

from __future__ import annotations

import numpy as np

from rl_eval.errors import InputError
from rl_eval.evidence.betting import Betting
from rl_eval.evidence.bounds import check_bounds, checked, past
from rl_eval.evidence.decision import Decision
from rl_eval.evidence.direction import Direction
from rl_eval.evidence.two_sided import GRID


class Paired(Betting):
    """`Betting` on dᵢ = policyᵢ − referenceᵢ, with i the seed that both played.

    If both returns are in [low, high], d is in [low − high, high − low]. What the episodes have in common (an easy
    start, a hard one) cancels, so d varies less than either, and the fewer units decide.

    A return past its bound forbids as in `clip_to_bounds`: the policy's own in the direction asked for, the
    reference's in the opposite one, since a reference that is clipped from above looks worse than it is.

    Args:
        margin: PASS is for a mean difference of at least (`at_least`) or more than (`better_than`) this.
        low, high: bounds of the returns of both.
        alpha, direction, population, grid: as of `Betting`.

    Raises:
        InputError: the margin is more than the bounds allow, or an argument makes no sense.
    """

    def __init__(
        self,
        margin: float,
        low: float,
        high: float,
        alpha: float = 0.05,
        direction: Direction = "better_than",
        population: int | None = None,
        grid: int = GRID,
    ) -> None:
        check_bounds(low, high)
        super().__init__(margin, low - high, high - low, alpha, direction, population, grid)
        self._declared = {"lower": low, "upper": high}

    def update(self, policy: float, reference: float) -> Decision:  # type: ignore[override]
        """Take in one seed's two returns."""
        return self.extend(np.array([policy]), np.array([reference]))

    def extend(self, policy: np.ndarray, reference: np.ndarray) -> Decision:  # type: ignore[override]
        """Take in `[n]` returns of each, in the order of the seeds they share.

        Raises:
            InputError: the two differ in length, are empty, or hold a value that is not finite.
        """
        policy, reference = checked(policy, "policy return"), checked(reference, "reference return")
        if len(policy) != len(reference):
            raise InputError(
                f"there are {len(policy)} policy returns and {len(reference)} reference returns: "
                "both must have played the same seeds"
            )
        if self._latched is None:
            low, high = self._declared["lower"], self._declared["upper"]
            # the side of the difference that becomes unsafe, whose return did it, and which of its bounds was passed
            self._note("lower", policy < low, lambda i, d: self._said("policy", "lower", policy, i, d))
            self._note("upper", policy > high, lambda i, d: self._said("policy", "upper", policy, i, d))
            self._note("lower", reference > high, lambda i, d: self._said("reference", "upper", reference, i, d))
            self._note("upper", reference < low, lambda i, d: self._said("reference", "lower", reference, i, d))
        return self._take(policy - reference)

    def _said(self, who: str, side: str, values: np.ndarray, at: int, decision: str) -> str:
        return past(side, self._declared[side], float(values[at]), len(self._values) + at, decision, who)


def decide_paired(
    policy: np.ndarray,
    reference: np.ndarray,
    margin: float,
    low: float,
    high: float,
    alpha: float = 0.05,
    direction: Direction = "better_than",
    population: int | None = None,
) -> Decision:
    """`Paired` on `[T]` returns that are all there already, in the order of their seeds.

    Raises:
        InputError: as `Paired`, or there are no returns.
    """
    return Paired(margin, low, high, alpha, direction, population).extend(policy, reference)
