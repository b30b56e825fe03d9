"""What would a policy have been rewarded with on decisions that another policy made? Estimates from logged traffic.

Each decision is one step (a contextual bandit): a context x, an action a that the logging policy chose with the
propensity μ(a | x), and a reward r. With the probabilities π(· | x) of the policy in question, the weight
w = π(a | x) / μ(a | x), and a model q(x, a) of the reward,

    IPS    mean of w r                                     (Horvitz and Thompson 1952)
    SNIPS  Σ w r / Σ w                                     (Swaminathan and Joachims 2015, NeurIPS)
    DM     mean of Σₐ π(a | x) q(x, a)
    DR     mean of Σₐ π(a | x) q(x, a) + w (r − q(x, a))   (Dudík, Langford and Li 2011, arXiv 1103.4601)

IPS and DR are unbiased where every action that π may take had a propensity above 0. DM is as wrong as its model. q must
come from other decisions than those it is used on (cross-fitting), or DR and DM flatter what they were fitted to.

Intervals are normal ones from the influence of each decision. They assume independent decisions, and few dominant
weights: look at the effective sample size (Kish), (Σ w)² / Σ w².
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from rl_eval.errors import InputError

_SUM_TOLERANCE = 1e-3  # of probabilities that went through float32


@dataclass(frozen=True)
class OffPolicyEstimate:
    """The mean reward of a policy.

    Attributes:
        low, high: ends of the interval.
    """

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class OffPolicyEstimates:
    """What logged decisions say of another policy.

    Attributes:
        ips, snips: only by weights.
        direct, doubly_robust: with a reward model; None without one. The interval of `direct` leaves out what its model
            gets wrong.
        effective_decisions: how many decisions of the policy's own would say as much.
        largest_weight: a single decision counts this many times.
    """

    ips: OffPolicyEstimate
    snips: OffPolicyEstimate
    direct: OffPolicyEstimate | None
    doubly_robust: OffPolicyEstimate | None
    effective_decisions: float
    largest_weight: float


def off_policy_estimates(
    rewards: np.ndarray,
    actions: np.ndarray,
    propensities: np.ndarray,
    probabilities: np.ndarray,
    predicted_rewards: np.ndarray | None = None,
    *,
    confidence: float = 0.95,
) -> OffPolicyEstimates:
    """Estimates of the mean reward of a policy from decisions of others.

    Args:
        rewards: `[N]` of the decisions, N ≥ 2.
        actions: int `[N]`, which were taken.
        propensities: `[N]` in (0, 1], the probability of each of them at its time.
        probabilities: `[N, A]` of the policy in question; each row sums to 1.
        predicted_rewards: `[N, A]` by a model that did not see the decision.
        confidence: of the intervals.

    Raises:
        InputError: shapes that do not fit, or a value that is not finite or outside its range.
    """
    rewards, propensities = np.asarray(rewards, np.float64), np.asarray(propensities, np.float64)
    actions, probabilities = np.asarray(actions), np.asarray(probabilities, np.float64)
    predicted = None if predicted_rewards is None else np.asarray(predicted_rewards, np.float64)
    _check(rewards, actions, propensities, probabilities, predicted)
    if not 0.0 < confidence < 1.0:
        raise InputError(f"confidence={confidence:g} is not inside (0, 1): give .95, for example")
    rows = np.arange(len(rewards))
    weights = probabilities[rows, actions] / propensities
    total = float(weights.sum())
    if total == 0.0:
        raise InputError(
            "the policy would have taken none of the logged actions, so they say nothing about it: log with a policy "
            "that explores"
        )
    snips = float(weights @ rewards) / total
    direct = doubly_robust = None
    if predicted is not None:
        expected = (probabilities * predicted).sum(axis=1)
        direct = _estimate(float(expected.mean()), expected, confidence)
        corrected = expected + weights * (rewards - predicted[rows, actions])
        doubly_robust = _estimate(float(corrected.mean()), corrected, confidence)
    return OffPolicyEstimates(
        ips=_estimate(float((weights * rewards).mean()), weights * rewards, confidence),
        snips=_estimate(snips, weights * (rewards - snips) / weights.mean(), confidence),
        direct=direct,
        doubly_robust=doubly_robust,
        effective_decisions=total * total / float(weights @ weights),
        largest_weight=float(weights.max()),
    )


def off_policy_difference(
    rewards: np.ndarray,
    actions: np.ndarray,
    propensities: np.ndarray,
    probabilities: np.ndarray,
    reference: np.ndarray,
    predicted_rewards: np.ndarray,
    *,
    confidence: float = 0.95,
) -> OffPolicyEstimate:
    """By how much the mean reward of a policy is above that of a reference, doubly robust, on the same decisions.

    What both would have done alike cancels, so the interval is narrower than those of the two policies suggest.

    Args:
        probabilities, reference: `[N, A]` of the policy and of the reference.
        rewards, actions, propensities, predicted_rewards, confidence: as of `off_policy_estimates`.

    Raises:
        InputError: as `off_policy_estimates`.
    """
    rewards, propensities = np.asarray(rewards, np.float64), np.asarray(propensities, np.float64)
    actions, predicted = np.asarray(actions), np.asarray(predicted_rewards, np.float64)
    rows, terms = np.arange(len(rewards)), []
    for policy in (np.asarray(probabilities, np.float64), np.asarray(reference, np.float64)):
        _check(rewards, actions, propensities, policy, predicted)
        weights = policy[rows, actions] / propensities
        terms.append((policy * predicted).sum(axis=1) + weights * (rewards - predicted[rows, actions]))
    if not 0.0 < confidence < 1.0:
        raise InputError(f"confidence={confidence:g} is not inside (0, 1): give .95, for example")
    difference = terms[0] - terms[1]
    return _estimate(float(difference.mean()), difference, confidence)


def _estimate(value: float, influence: np.ndarray, confidence: float) -> OffPolicyEstimate:
    """A value with the interval that the influence `[N]` of each decision gives it."""
    half = NormalDist().inv_cdf((1 + confidence) / 2) * float(influence.std(ddof=1)) / len(influence) ** 0.5
    return OffPolicyEstimate(value, value - half, value + half)


def _check(
    rewards: np.ndarray,
    actions: np.ndarray,
    propensities: np.ndarray,
    probabilities: np.ndarray,
    predicted: np.ndarray | None,
) -> None:
    count = len(rewards) if rewards.ndim == 1 else 0
    if count < 2:
        raise InputError("off-policy estimates need the rewards of at least two decisions: log more")
    shapes = {"actions": (actions, (count,)), "propensities": (propensities, (count,))}
    if probabilities.ndim != 2 or len(probabilities) != count:
        raise InputError(f"probabilities have the shape {probabilities.shape}: give [{count}, actions]")
    if predicted is not None:
        shapes["predicted rewards"] = predicted, probabilities.shape
    for name, (given, shape) in shapes.items():
        if given.shape != shape:
            raise InputError(f"{name} have the shape {given.shape}: give {list(shape)}, one for each decision")
    choices = probabilities.shape[1]
    if not np.issubdtype(actions.dtype, np.integer) or actions.min() < 0 or actions.max() >= choices:
        raise InputError(f"an action is not an integer from 0 to {choices - 1}: log the index of each action")
    for name, array in (("reward", rewards), ("predicted reward", predicted)):
        if array is not None and not np.isfinite(array).all():
            raise InputError(f"a {name} is not finite: leave such decisions out")
    if not ((propensities > 0) & (propensities <= 1)).all():  # NaN is neither
        raise InputError("a propensity is outside (0, 1]: log the probability of the action at its time")
    sums = probabilities.sum(axis=1)
    if not ((probabilities >= 0).all() and np.abs(sums - 1).max() <= _SUM_TOLERANCE):
        raise InputError("probabilities of a decision are negative or do not sum to 1: give those of the policy")
