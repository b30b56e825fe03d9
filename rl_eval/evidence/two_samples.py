"""Is one mean better than another by a margin, where every unit shows one of the two? Both means are unknown.

A roll-out sends each unit to one of two policies, by chance or by a hash of its name. With u = 1 where unit i went to
the first, and value xᵢ in [0, 1], the means are ratios:

    μ₁ = E[u x] / E[u],   μ₂ = E[(1 − u) x] / E[1 − u].

So this is the joint bet of `ratio_difference` with a₁ = u x, b₁ = u and a₂ = (1 − u) x, b₂ = 1 − u, on units of which
each has a term of one policy alone. The share of units of either policy may change at any time, by anything but the
values to come. The unit that shows nothing, such as a decision whose reward never came, is left out.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from rl_eval.errors import InputError
from rl_eval.evidence.bounds import check_bounds, finite_vector
from rl_eval.evidence.direction import Direction
from rl_eval.evidence.ratio_difference import JointTest
from rl_eval.evidence.ratio_metrics import RatioCounts
from rl_eval.evidence.result import EvidenceResult


class TwoSampleTest(JointTest):
    """The mean of one policy minus that of another, on units of which each went to one of them.

    Args:
        margin: PASS is for a difference of at least (`at_least`) or more than (`better_than`) this.
        low, high: bounds of the values. They have to hold, or nothing is claimed.
        share: about what share of the units the first policy gets, in (0, 1). Another share remains valid. Three
            times too large it takes some five times the units, and much further off nothing is decided.
        alpha, direction: as of `SequentialTest`.

    Raises:
        InputError: an argument makes no sense.
    """

    def __init__(
        self,
        margin: float,
        low: float,
        high: float,
        share: float = 0.5,
        alpha: float = 0.05,
        direction: Direction = "better_than",
    ) -> None:
        check_bounds(low, high)
        if not 0.0 < share < 1.0:
            raise InputError(f"share={share:g} is not inside (0, 1): give the share of units of the first policy")
        if abs(margin) > high - low:
            raise InputError(f"a difference of {margin:g} is impossible between values in [{low:g}, {high:g}]")
        super().__init__("precision", margin / (high - low), alpha, direction, None, 1, None)
        self._low, self._high = low, high
        # A ratio stays what it is where both of its terms are scaled. Scaled so, the terms of both policies weigh the
        # same over all units, which is where the bets of `ratio_difference` are dense.
        rarer = min(share, 1 - share)
        self._weights = rarer / share, rarer / (1 - share)

    def extend(self, values: np.ndarray, first: np.ndarray) -> None:  # type: ignore[override]
        """Add n units in the order of their decisions: `[n]` values, and bool `[n]` whether the first policy decided.

        Raises:
            InputError: the lengths differ, or a value is not finite or outside the bounds.
        """
        values, first = finite_vector(values, "value"), np.asarray(first, bool)
        if values.shape != first.shape:
            raise InputError(f"there are {len(values)} values and {len(first)} policies: give one of each a unit")
        if values.min() < self._low or values.max() > self._high:
            raise InputError(
                f"values from {values.min():g} to {values.max():g} are outside [{self._low:g}, {self._high:g}]: give "
                "bounds that hold"
            )
        scaled = (values - self._low) / (self._high - self._low)
        counts = []
        for mine, weight in zip((first, ~first), self._weights, strict=True):
            informative = mine * weight
            counts.append(RatioCounts(informative * scaled, informative, informative))
        super().extend(*counts)

    @property
    def result(self) -> EvidenceResult:
        """The result so far, the difference in the units of the values."""
        result, span = super().result, self._high - self._low
        low, high = result.interval
        estimate = None if result.estimate is None else result.estimate * span
        return replace(result, estimate=estimate, interval=(low * span, high * span))
