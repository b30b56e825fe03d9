"""Values past the declared bounds: cut off, and what may no longer be claimed because of it."""

from __future__ import annotations

import numpy as np

from rl_eval.errors import InputError
from rl_eval.evidence.direction import Direction, check_direction, wants_above


def checked(values: np.ndarray, what: str = "value") -> np.ndarray:
    """Values as float64 `[T]`.

    Raises:
        InputError: none at all, not one-dimensional, or one of them is not finite.
    """
    values = np.asarray(values, np.float64)
    if values.ndim != 1:
        raise InputError(f"expected a list of {what}s, one a unit, and got the shape {values.shape}")
    if len(values) == 0:
        raise InputError(f"there is no {what}, so nothing can be decided: play at least one unit")
    broken = np.flatnonzero(~np.isfinite(values))
    if len(broken):
        raise InputError(
            f"{len(broken)} of {len(values)} {what}s are not finite, the first is number {broken[0] + 1} "
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


def clip_to_bounds(
    xs: np.ndarray, bounds: tuple[float, float], direction: Direction = "at_least"
) -> tuple[np.ndarray, set[str], str]:
    """Cut values off at the bounds, and say which decisions that makes unsafe.

    The evidence is about the mean of what is cut off. min(x, high) ≤ x, so cutting from above can only lower the mean:
    "the mean is at least θ" stays true of the raw values, "it is below θ" need not. Cutting from below is the mirror
    image. So for `at_least` a value below the lower bound forbids PASS and a value above the upper bound forbids FAIL;
    for `at_most` it is the other way round.

    Args:
        xs: `[T]` raw values.
        bounds: what was declared, (low, high).

    Returns:
        The values within the bounds `[T]`; the decisions that are forbidden, of "PASS" and "FAIL"; one sentence that
        names the bound, empty where nothing is forbidden.

    Raises:
        InputError: no values, one is not finite, or the bounds are not a range.
    """
    low, high = bounds
    check_bounds(low, high)
    check_direction(direction)
    xs = checked(xs)
    forbids: set[str] = set()
    said = []
    for side, beyond, bound in (("lower", xs < low, low), ("upper", xs > high, high)):
        where = np.flatnonzero(beyond)
        if len(where):
            decision = forbidden_by(side, direction)
            forbids.add(decision)
            said.append(past(side, bound, float(xs[where[0]]), int(where[0]), decision))
    return np.clip(xs, low, high), forbids, "; ".join(said)


def forbidden_by(side: str, direction: Direction) -> str:
    """The decision that a value past that bound makes unsafe."""
    return "PASS" if (side == "lower") == wants_above(direction) else "FAIL"


def past(side: str, bound: float, value: float, index: int, decision: str, who: str = "") -> str:
    """One sentence: which bound was passed, by what, and what follows."""
    of = f" of the {who}" if who else ""
    return (
        f"unit {index + 1}{of} has {value:g}, past the {side} bound {bound:g}, so {decision} cannot be claimed: "
        f"declare a {side} bound that holds"
    )


def scaled(xs: np.ndarray, low: float, high: float) -> np.ndarray:
    """Values clipped to the bounds, on the scale [0, 1]."""
    return (np.clip(xs, low, high) - low) / (high - low)


def scaled_threshold(theta: float, low: float, high: float) -> float:
    """The threshold on the scale [0, 1].

    Raises:
        InputError: the bounds are not a range, or it is outside them.
    """
    check_bounds(low, high)
    if not low <= theta <= high:
        raise InputError(f"the threshold {theta:g} is outside the bounds [{low:g}, {high:g}], so no value is evidence")
    return (theta - low) / (high - low)
