"""Values outside the declared bounds: they are clipped, and decisions that clipping makes unsafe are forbidden.

The evidence is about the mean of the clipped values. min(x, high) ≤ x, so clipping from above can only lower the mean:
"the mean is at least θ" stays true of the raw values, "it is below θ" need not. Clipping from below is the mirror
image. So for `at_least` a value below the lower bound forbids PASS and a value above the upper bound forbids FAIL; for
`at_most` it is the other way round.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from rl_eval.errors import InputError
from rl_eval.evidence.direction import Direction, wants_above

Side = Literal["lower", "upper"]


def finite_vector(values: np.ndarray, name: str = "value", *, undefined: bool = False) -> np.ndarray:
    """Values as float64 `[T]`.

    Args:
        undefined: whether NaN is allowed.

    Raises:
        InputError: there are none, they are not one-dimensional, or one of them is not finite.
    """
    values = np.asarray(values, np.float64)
    if values.ndim != 1:
        raise InputError(f"expected a list of {name}s, one for each unit, but got the shape {values.shape}")
    if len(values) == 0:
        raise InputError(f"there is no {name}, so nothing can be decided: play at least one unit")
    broken = np.flatnonzero(np.isinf(values) if undefined else ~np.isfinite(values))
    if len(broken):
        raise InputError(
            f"{len(broken)} of {len(values)} {name}s are not finite, the first is number {broken[0] + 1} "
            f"({values[broken[0]]}): what produced it is broken"
        )
    return values


def check_bounds(low: float, high: float) -> None:
    """The bounds are finite and in order.

    Raises:
        InputError: they are not.
    """
    if not (np.isfinite(low) and np.isfinite(high) and low < high):
        raise InputError(f"the bounds [{low:g}, {high:g}] are not a range: give two finite numbers, the lower first")


def forbidden_decision(side: Side, direction: Direction) -> Literal["PASS", "FAIL"]:
    """The decision that a value past that bound makes unsafe."""
    return "PASS" if (side == "lower") == wants_above(direction) else "FAIL"


def bound_message(side: Side, bound: float, value: float, index: int, decision: str, policy: str = "") -> str:
    """One sentence: which bound was passed, by which unit, and which decision that forbids."""
    of_policy = f" of the {policy}" if policy else ""
    return (
        f"unit {index + 1}{of_policy} has {value:g}, past the {side} bound {bound:g}, so {decision} cannot be claimed: "
        f"declare {'an' if side == 'upper' else 'a'} {side} bound that holds"
    )


def to_unit_interval(xs: np.ndarray, low: float, high: float) -> np.ndarray:
    """Values clipped to the bounds, on the scale [0, 1]."""
    return (np.clip(xs, low, high) - low) / (high - low)


def threshold_to_unit_interval(theta: float, low: float, high: float) -> float:
    """The threshold on the scale [0, 1].

    Raises:
        InputError: the bounds are not a range, or the threshold is outside them.
    """
    check_bounds(low, high)
    if not low <= theta <= high:
        raise InputError(f"the threshold {theta:g} is outside the bounds [{low:g}, {high:g}], so no value is evidence")
    return (theta - low) / (high - low)
