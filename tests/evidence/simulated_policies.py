"""Simulated policies whose true value is known: S gates of T units each, and the bounds of their values."""

from __future__ import annotations

import numpy as np

LOW, HIGH, THRESHOLD = -400.0, 320.0, 200.0


def lander_returns(rng, gates, units, mean, low=LOW, high=HIGH):
    """95 % N(255, 22) and 5 % crashes N(−20, 90), shifted to the mean and clipped."""
    crash = rng.random((gates, units)) < 0.05
    returns = np.where(crash, rng.normal(-20, 90, crash.shape), rng.normal(255, 22, crash.shape))
    return np.clip(returns + mean - 241.25, low, high)


def rare_disasters(rng, gates, units, mean):
    """2 % of the episodes cost as much as the bounds allow, all others are alike: the hardest skew."""
    good = (mean - 0.02 * LOW) / 0.98
    return np.where(rng.random((gates, units)) < 0.02, LOW, good)


def successes(rng, gates, units, rate):
    return (rng.random((gates, units)) < rate).astype(float)


def detections(rng, gates, units, prevalence, f1):
    """Labels and flags with as many false positives as false negatives, so that recall = precision = F1."""
    label = rng.random((gates, units)) < prevalence
    false_alarm = prevalence * (1 - f1) / (1 - prevalence)
    flagged = rng.random((gates, units)) < np.where(label, f1, false_alarm)
    return label, flagged


def pairs(rng, gates, units, gain):
    """Returns of a policy and its reference on the same seeds: what a seed is like moves both."""
    seed = rng.normal(150, 60, (gates, units))
    policy = seed + rng.normal(0, 20, seed.shape) - 100 * (rng.random(seed.shape) < 0.05) + 5 + gain
    reference = seed + rng.normal(0, 20, seed.shape)
    return np.clip(policy, LOW, HIGH), np.clip(reference, LOW, HIGH)


def paired_successes(rng, gates, units, rate):
    """Successes of two policies of the same rate on the same seeds, half of which are as easy for both."""
    shared = successes(rng, gates, units, rate)
    outcomes = (np.where(rng.random(shared.shape) < 0.5, shared, successes(rng, gates, units, rate)) for _ in range(2))
    return tuple(outcomes)


def finite_sets(rng, gates, size, successes):
    """The same set of 0 and 1 in S random orders."""
    cases = np.broadcast_to(np.arange(size) < successes, (gates, size))
    return rng.permuted(cases, axis=1).astype(float)
