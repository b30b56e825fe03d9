"""How a decision came about: the interval and the evidence of both sides as units came in."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

POINTS = 60


@dataclass(frozen=True)
class Path:
    """A few moments on the way to a decision, the last of which is the decision's own.

    Attributes:
        units: how many had been taken in.
        lower, upper: the interval of the metric at that moment.
        for_pass, for_fail: log K of either side at the threshold; the first one to reach log 1/α decides.
    """

    units: tuple[int, ...]
    lower: tuple[float, ...]
    upper: tuple[float, ...]
    for_pass: tuple[float, ...]
    for_fail: tuple[float, ...]


def moments(count: int, most: int = POINTS) -> np.ndarray:
    """At most so many units out of 1 … count, the first and the last among them, closer together at the start."""
    if count <= most:
        return np.arange(1, count + 1)
    spread = np.linspace(1.0, np.sqrt(count), most) ** 2
    return np.unique(np.round(spread).astype(np.int64))


def rounded(values: np.ndarray) -> tuple[float, ...]:
    """With five digits: a path is for looking at."""
    return tuple(float(f"{value:.5g}") for value in values)
