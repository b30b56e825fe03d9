"""Run one complete test on given units: of a mean, a ratio metric or a paired difference, with its intervals."""

from __future__ import annotations

import numpy as np

from rl_eval.evidence import EvidenceResult, MeanTest, PairedTest, RatioTest, count_cases
from rl_eval.evidence.bounds import to_unit_interval
from rl_eval.evidence.confidence_sequence import GRID, ConfidenceSequence


def decide_mean(xs, theta, low=0.0, high=1.0, alpha=0.05, direction="at_least", population=None) -> EvidenceResult:
    return MeanTest(theta, low, high, alpha, direction, population).extend(xs)


def decide_paired(policy, reference, margin, low, high, direction="better_than", population=None) -> EvidenceResult:
    return PairedTest(margin, low, high, direction=direction, population=population).extend(policy, reference)


def decide_ratio(
    metric, label, flagged, theta, alpha=0.05, direction="at_least", *, episode=None, population=None, longest=1
) -> EvidenceResult:
    test = RatioTest(metric, theta, alpha, direction, population, longest)
    return test.extend(count_cases(metric, label, flagged, episode))


def intervals(xs, low=0.0, high=1.0, alpha=0.05, population=None, grid=GRID) -> np.ndarray:
    """`[T, 2]` the confidence sequence: the interval after every unit."""
    steps = ConfidenceSequence(0.5, alpha, population, grid).advance(to_unit_interval(xs, low, high)[:, None])
    return low + np.column_stack([steps.lower, steps.upper]) * (high - low)
