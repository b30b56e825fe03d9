"""Is one mean better than another by a margin, where every unit shows one of the two? Both means are unknown.

A roll-out sends each unit to one of two policies, by chance or by a hash of its name. With u = 1 where unit i went to
the first, and value xᵢ in [0, 1], the means are ratios:

    μ₁ = E[u x] / E[u],   μ₂ = E[(1 − u) x] / E[1 − u].

So this is the joint bet of `ratio_difference` with a₁ = u x, b₁ = u and a₂ = (1 − u) x, b₂ = 1 − u. Each
unit has a term of only one policy. The share of units of either policy may change at any time, by anything except
future values. The unit that shows nothing, such as a decision whose reward never came, is left out.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from rl_eval.errors import InputError
from rl_eval.evidence.betting import check_alpha
from rl_eval.evidence.bounds import check_bounds, finite_vector
from rl_eval.evidence.direction import Direction
from rl_eval.evidence.ratio_difference import JointBet, JointTest
from rl_eval.evidence.ratio_metrics import RatioCounts
from rl_eval.evidence.result import EvidenceResult


class TwoSampleTest(JointTest):
    """The mean of one policy minus that of another, on units that each went to one of them.

    Args:
        margin: PASS is for a difference of at least (`at_least`) or more than (`better_than`) this.
        low, high: bounds of the values. They have to hold, or nothing is claimed.
        share: about what share of the units the first policy gets, in (0, 1). Another share remains valid. Three
            times too large it takes some five times the units, and much further off nothing is decided.
        alpha, direction: as of `SequentialTest`.
        looks_rarely: look after the last unit of each `extend`, and at every 256th, and not after every unit. Values
            such as 0 and 1 then take hardly any time; the decision comes as much later.

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
        looks_rarely: bool = False,
    ) -> None:
        check_bounds(low, high)
        self._weights = _weights(share)
        if abs(margin) > high - low:
            raise InputError(f"a difference of {margin:g} is impossible between values in [{low:g}, {high:g}]")
        super().__init__("precision", margin / (high - low), alpha, direction, None, 1, None)
        self._low, self._high, self._looks_rarely = low, high, looks_rarely

    def extend(self, values: np.ndarray, first: np.ndarray) -> None:  # type: ignore[override]
        """Add n units in the order of their decisions: `[n]` values, and bool `[n]` whether the first policy decided.

        Raises:
            InputError: the lengths differ, or a value is not finite or outside the bounds.
        """
        values, first = finite_vector(values, "value"), np.asarray(first, bool)
        if values.shape != first.shape:
            raise InputError(
                f"there are {len(values)} values and {len(first)} policies: give one of each for every unit"
            )
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
    def estimate(self) -> float | None:
        """The difference of the means so far, in the units of the values; None while one policy has no units.

        It takes no time, where the interval of `result` does.
        """
        metric = self._metric(self.units)
        return None if metric is None else metric * (self._high - self._low)

    @property
    def result(self) -> EvidenceResult:
        """The result so far, the difference in the units of the values."""
        result, span = super().result, self._high - self._low
        low, high = result.interval
        estimate = None if result.estimate is None else result.estimate * span
        return replace(result, estimate=estimate, interval=(low * span, high * span))


class MoreOftenTest:
    """Whether something happens to one policy more often than to another, by more than a margin.

    The joint bet of `TwoSampleTest` on values 0 and 1, where counts are enough: it takes the same memory and time
    for any number of units, and looks once after each `add`.

    Args:
        margin: in [0, 1).
        share, alpha: as of `TwoSampleTest`.

    Raises:
        InputError: an argument makes no sense.
    """

    def __init__(self, margin: float, share: float = 0.5, alpha: float = 0.05) -> None:
        check_alpha(alpha)
        if not 0.0 <= margin < 1.0:
            raise InputError(f"the margin {margin:g} of a share is outside [0, 1)")
        self.share, self.alpha = share, alpha
        _weights(share)
        self._bet = JointBet.start(margin)

    def add(self, first: tuple[int, int], second: tuple[int, int], share: float | None = None) -> None:
        """Add units: how often it happened, and how many units there were, of each policy.

        Args:
            share: about what share of these units the first policy gets, known before them; None: as at the start.

        Raises:
            InputError: the counts make no sense.
        """
        for hits, units in (first, second):
            if not 0 <= hits <= units:
                raise InputError(f"{hits} of {units} units are not possible")
        counts = np.array([first[0], first[1] - first[0], second[0], second[1] - second[0]], np.float64)
        if not counts.any():
            return
        # a and b of the four kinds of units: the first policy's, hit or not, and the second's
        kinds, nothing = np.array([[1.0, 1.0], [0.0, 1.0]]), np.zeros((2, 2))
        weights = _weights(self.share if share is None else share)
        ours, theirs = np.concatenate([kinds * weights[0], nothing]), np.concatenate([nothing, kinds * weights[1]])
        self._bet.advance_counts(ours, theirs, counts, self.alpha)

    @property
    def shown(self) -> bool:
        """Whether the evidence suffices; it stays so."""
        return not self._bet.active


def _weights(share: float) -> tuple[float, float]:
    """Of the units of both policies.

    A ratio stays what it is where both of its terms are scaled. Scaled so, the terms of both policies weigh the same
    over all units, which is where the bets of `ratio_difference` are dense.
    """
    if not 0.0 < share < 1.0:
        raise InputError(f"share={share:g} is not inside (0, 1): give the share of units of the first policy")
    rarer = min(share, 1 - share)
    return rarer / share, rarer / (1 - share)
