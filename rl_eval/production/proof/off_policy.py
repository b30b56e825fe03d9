"""What logged traffic says of a candidate and of the champion: IPS, SNIPS, DM, DR, and their difference.

Decisions count as single steps (a contextual bandit); where rewards come later, give the return that was logged for
each decision. The reward model is a ridge regression for each action, fitted on other decisions than those it is used
on.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from rl_eval import seeding
from rl_eval.errors import InputError
from rl_eval.evidence import OffPolicyEstimate, OffPolicyEstimates, off_policy_difference, off_policy_estimates
from rl_eval.production.learning_config import ProofConfig
from rl_eval.production.proof.finding import Finding

FOLDS = 5
RIDGE = 1.0  # on observations of mean 0 and deviation 1
SMALLEST_DEVIATION = 1e-6


@dataclass(frozen=True)
class LoggedTraffic:
    """Decisions of policies in production, and what followed.

    Attributes:
        observations: `[N, D]`.
        actions: int `[N]` from 0.
        propensities: `[N]` in (0, 1], of the actions when they were chosen.
        rewards: `[N]`.
        masks: bool `[N, A]`, the actions that were legal; None: all.
    """

    observations: np.ndarray = field(repr=False)
    actions: np.ndarray = field(repr=False)
    propensities: np.ndarray = field(repr=False)
    rewards: np.ndarray = field(repr=False)
    masks: np.ndarray | None = field(default=None, repr=False)


@dataclass(frozen=True)
class OffPolicyProof:
    """Estimates of both policies on the same decisions.

    Attributes:
        difference: candidate minus champion, doubly robust.
    """

    candidate: OffPolicyEstimates
    champion: OffPolicyEstimates
    difference: OffPolicyEstimate
    decisions: int


def estimate(
    traffic: LoggedTraffic, candidate: np.ndarray, champion: np.ndarray, config: ProofConfig, seed: int = 0
) -> OffPolicyProof:
    """Both policies on logged traffic.

    Args:
        candidate, champion: `[N, A]` probabilities of their actions.
        seed: of the folds.

    Raises:
        InputError: shapes or values that do not fit, or too few decisions.
    """
    logs = traffic.rewards, traffic.actions, traffic.propensities
    predicted = predict_rewards(
        traffic.observations, traffic.actions, traffic.rewards, np.shape(candidate)[-1], seed=seed
    )
    return OffPolicyProof(
        off_policy_estimates(*logs, candidate, predicted, confidence=config.confidence),
        off_policy_estimates(*logs, champion, predicted, confidence=config.confidence),
        off_policy_difference(*logs, candidate, champion, predicted, confidence=config.confidence),
        len(traffic.rewards),
    )


def judge(proof: OffPolicyProof, config: ProofConfig) -> Finding:
    """Whether the candidate is not worse than the champion by more than the margin."""
    difference, margin = proof.difference, config.margin
    effective = min(proof.candidate.effective_decisions, proof.champion.effective_decisions)
    interval = f"{difference.low:+.4g} to {difference.high:+.4g}"
    figures = f"{difference.value:+.4g} in reward ({interval}) on {proof.decisions:,} decisions"
    if effective < config.least_effective:
        return Finding(
            "off_policy",
            "INCONCLUSIVE",
            f"the logs are worth {effective:.0f} decisions of its own, and {config.least_effective:g} are needed: "
            "log with a policy that explores more",
        )
    if difference.low >= -margin:
        return Finding("off_policy", "PASS", f"{figures}: not worse than the champion by more than {margin:g}")
    if difference.high < -margin:
        return Finding("off_policy", "FAIL", f"{figures}: worse than the champion by more than {margin:g}")
    return Finding("off_policy", "INCONCLUSIVE", f"{figures}: the interval contains −{margin:g}, so collect more")


def predict_rewards(
    observations: np.ndarray, actions: np.ndarray, rewards: np.ndarray, choices: int, *, seed: int = 0
) -> np.ndarray:
    """Rewards `[N, A]` of all actions, each row by models that did not see it.

    Args:
        observations: `[N, D]`; actions: int `[N]`; rewards: `[N]`.
        choices: A.

    Raises:
        InputError: there are fewer than two decisions.
    """
    observations, rewards = np.asarray(observations, np.float64), np.asarray(rewards, np.float64)
    count = len(rewards)
    if count < 2:
        raise InputError("a reward model needs at least two decisions: log more")
    observations = observations.reshape(count, -1)
    folds = seeding.generator(seed, "replay").permutation(count) % min(FOLDS, count)
    predicted = np.empty((count, choices))
    for fold in range(min(FOLDS, count)):
        used, fitted = folds == fold, folds != fold
        centre = observations[fitted].mean(axis=0)
        deviation = np.maximum(observations[fitted].std(axis=0), SMALLEST_DEVIATION)
        scaled = (observations - centre) / deviation
        mean = rewards[fitted].mean()
        for action in range(choices):
            rows = fitted & (actions == action)
            weights, bias = _ridge(scaled[rows], rewards[rows] - mean)
            predicted[used, action] = mean + scaled[used] @ weights + bias
    return np.clip(predicted, rewards.min(), rewards.max())


def _ridge(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, float]:
    """Weights `[D]` and a bias, the bias shrunk as well: an action that was never taken has the mean of all."""
    columns = np.hstack([x, np.ones((len(x), 1))])
    if columns.shape[1] <= len(columns):
        solution = np.linalg.solve(columns.T @ columns + RIDGE * np.eye(columns.shape[1]), columns.T @ y)
    else:  # the same by the dual, with fewer rows than features
        solution = columns.T @ np.linalg.solve(columns @ columns.T + RIDGE * np.eye(len(columns)), y)
    return solution[:-1], float(solution[-1])
