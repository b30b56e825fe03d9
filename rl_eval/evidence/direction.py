"""The directions of a criterion, at_least, at_most, better_than and less_than: which side of the threshold passes."""

from __future__ import annotations

from typing import Literal

import numpy as np

from rl_eval.errors import InputError

Direction = Literal["at_least", "at_most", "better_than", "less_than"]
_DIRECTIONS = ("at_least", "at_most", "better_than", "less_than")


def check_direction(direction: str) -> None:
    """The direction is one of the four.

    Raises:
        InputError: it is not.
    """
    if direction not in _DIRECTIONS:
        raise InputError(f"{direction!r} is not a direction: the directions are {', '.join(_DIRECTIONS)}")


def wants_above(direction: Direction) -> bool:
    """Whether PASS means a value above the threshold."""
    return direction in ("at_least", "better_than")


def meets(value: float | np.ndarray, theta: float, direction: Direction) -> bool | np.ndarray:
    """Whether an exact value passes; a tie passes only at_least and at_most."""
    if direction in ("better_than", "less_than"):
        return value > theta if direction == "better_than" else value < theta
    return value >= theta if direction == "at_least" else value <= theta
