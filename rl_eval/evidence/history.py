"""How a decision came about: the interval and the evidence for both verdicts as units were added."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

MAX_POINTS = 24


@dataclass(frozen=True)
class EvidenceHistory:
    """A few points in time up to the decision. The last one is the decision's own.

    Attributes:
        units: how many units had been added.
        lower, upper: the interval of the metric from the units so far.
        for_pass, for_fail: log K of each side at the threshold; the first one to reach log 1/α decides.
    """

    units: tuple[int, ...]
    lower: tuple[float, ...]
    upper: tuple[float, ...]
    for_pass: tuple[float, ...]
    for_fail: tuple[float, ...]


def sample_units(count: int, most: int = MAX_POINTS) -> np.ndarray:
    """At most `most` of the units 1 … count, with the first and the last; they are denser at the start."""
    if count <= most:
        return np.arange(1, count + 1)
    spread = np.linspace(1.0, np.sqrt(count), most) ** 2
    return np.unique(np.round(spread).astype(np.int64))


def history_of(
    units: np.ndarray, intervals: Sequence[tuple[float, float]], for_pass: np.ndarray, for_fail: np.ndarray
) -> EvidenceHistory:
    """The history at the points `[P]`. Infinite evidence, a value that is impossible, is shown as 99."""
    lower, upper = np.array(intervals).T
    return EvidenceHistory(
        units=tuple(units.tolist()),
        lower=_rounded(lower),
        upper=_rounded(upper),
        for_pass=_rounded(np.minimum(for_pass, 99.0)),
        for_fail=_rounded(np.minimum(for_fail, 99.0)),
    )


def _rounded(values: np.ndarray) -> tuple[float, ...]:
    """With five digits, which is enough for a chart."""
    return tuple(float(f"{value:.5g}") for value in values)
