"""Is traffic still what the champion learned from? Features that have drifted, by name.

Each feature is compared by the distance of Kolmogorov and Smirnov, the largest difference of two distribution
functions. A feature has drifted where chance explains its distance with a probability below α / D (Bonferroni, so that
α is the chance of any false alarm), and the distance is of a size that matters: with enough traffic chance explains
nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rl_eval.errors import InputError


@dataclass(frozen=True)
class FeatureDrift:
    """A feature that has drifted.

    Attributes:
        distance: of Kolmogorov and Smirnov, in [0, 1].
        p: the chance of such a distance without drift.
        reference, recent: its means.
    """

    name: str
    distance: float
    p: float
    reference: float
    recent: float


def drifted_features(
    reference: np.ndarray, recent: np.ndarray, names: Sequence[str] = (), *, share: float = 0.1, alpha: float = 0.01
) -> list[FeatureDrift]:
    """The features that have drifted, the furthest first.

    Args:
        reference: `[N, D]` observations that the champion learned from.
        recent: `[M, D]` of now.
        names: of the D features; empty: their numbers from 0.
        share: least distance.
        alpha: chance of any false alarm.

    Raises:
        InputError: shapes that do not fit, or numbers that are not finite.
    """
    from scipy.special import kolmogorov

    reference, recent = np.asarray(reference, np.float64), np.asarray(recent, np.float64)
    if reference.ndim != 2 or recent.ndim != 2 or reference.shape[1] != recent.shape[1]:
        raise InputError(f"observations of {reference.shape} and {recent.shape} cannot be compared: give [N, D] twice")
    features = reference.shape[1]
    if names and len(names) != features:
        raise InputError(f"there are {len(names)} names for {features} features: name each, or none")
    if not len(reference) or not len(recent):
        return []
    if not (np.isfinite(reference).all() and np.isfinite(recent).all()):
        raise InputError("an observation is not finite: filter it out")
    distances = np.array([_distance(reference[:, d], recent[:, d]) for d in range(features)])
    effective = np.sqrt(len(reference) * len(recent) / (len(reference) + len(recent)))
    p = kolmogorov(effective * distances)
    drifted = np.flatnonzero((distances >= share) & (p <= alpha / max(features, 1)))
    return [
        FeatureDrift(
            str(names[d]) if names else str(d),
            float(distances[d]),
            float(p[d]),
            float(reference[:, d].mean()),
            float(recent[:, d].mean()),
        )
        for d in drifted[np.argsort(-distances[drifted], kind="stable")]
    ]


def _distance(first: np.ndarray, second: np.ndarray) -> float:
    values = np.concatenate([first, second])
    shares = (np.searchsorted(np.sort(one), values, side="right") / len(one) for one in (first, second))
    return float(np.abs(np.subtract(*shares)).max())
