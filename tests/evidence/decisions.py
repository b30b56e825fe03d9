"""Run one complete test on given units: of a mean, a ratio metric or a difference."""

from __future__ import annotations

from rl_eval.evidence import EvidenceResult, MeanTest, PairedTest, RatioTest, count_cases, ratio_difference_test


def decide_mean(xs, theta, low=0.0, high=1.0, alpha=0.05, direction="at_least", population=None, limit=None):
    test = MeanTest(theta, low, high, alpha, direction, population, limit)
    test.extend(xs)
    return test.result


def decide_paired(
    policy, reference, margin, low, high, direction="better_than", population=None, factor=1.0
) -> EvidenceResult:
    test = PairedTest(margin, low, high, direction=direction, population=population, factor=factor)
    test.extend(policy, reference)
    return test.result


def decide_ratio(
    metric, label, flagged, theta, alpha=0.05, direction="at_least", *, episode=None, population=None, longest=1
) -> EvidenceResult:
    test = RatioTest(metric, theta, alpha, direction, population, longest)
    test.extend(count_cases(metric, label, flagged, episode))
    return test.result


def decide_difference(metric, label, flagged, reference, margin=0.0, *, population=None, limit=None) -> EvidenceResult:
    test = ratio_difference_test(metric, margin, population=population, limit=limit)
    test.extend(count_cases(metric, label, flagged), count_cases(metric, label, reference))
    return test.result
