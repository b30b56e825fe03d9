"""The highest explained variance that any critic can reach when steps are independent of each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from rl_eval.diagnostics._diagnosed_run import DiagnosedRun
from rl_eval.domains import domain
from rl_eval.errors import InputError
from rl_eval.rewards import RewardFunction

LATE = 0.25  # the last share of training
NEGLIGIBLE = 0.05  # mean autocorrelation; below, it holds nothing that a value function could use
RIDGE = 1e-3


def ceiling(gamma: float, gae_lambda: float, noise: float) -> float:
    """The largest explained variance of GAE(λ) targets by any V(s), with independent steps.

    The target is u_t + ε_t + γ Σ_k (γλ)^k (u + λε)_{t+1+k}, with u = E[r|s] and the reward noise ε. Only u_t is a
    function of s_t, so the share is var u / var target = (1 − γ²λ²) / (1 − γ²λ² + γ² + w).

    Args:
        noise: w, the variance of the reward given the state, divided by the variance of E[r|s].
    """
    immediate = 1.0 - (gamma * gae_lambda) ** 2
    if immediate <= 0:
        return 0.0
    return immediate / (immediate + gamma**2 + noise)


@dataclass(frozen=True)
class Critic:
    """The explained variance of a critic late in training, and its ceiling.

    Attributes:
        explained: mean explained variance of the targets over the last quarter of the rows.
        ceiling: the most that any critic explains with the run's γ and λ.
        without_discount: the same with γ = 0: the share of the reward's variance that the state explains.
    """

    gamma: float
    gae_lambda: float
    explained: float
    ceiling: float
    without_discount: float


def steps_are_independent(run: DiagnosedRun) -> bool | None:
    """Whether no step depends on an earlier one; None if the run does not show it.

    The domain may know (`independent_cases`). Otherwise rewards and observations must both be uncorrelated with those
    of the next step: with dynamics, at least the observations are similar.
    """
    if run.environment is not None:
        independent = domain(run.environment.name).independent_cases(run.environment)
        if independent is not None:
            return independent
    for name in ("reward_autocorrelation", "obs_autocorrelation"):
        values = run.curve(name)
        if len(values) < 8:
            return None
        error = float(values.std(ddof=1)) / len(values) ** 0.5
        if abs(float(values.mean())) > min(NEGLIGIBLE, max(3 * error, 0.02)):
            return False
    return True


def critic_of(run: DiagnosedRun) -> Critic | None:
    """The critic and its ceiling; None if steps are not independent, or if the policy cannot be played here."""
    gamma, gae_lambda = run.number("agent.gamma"), run.number("agent.gae_lambda")
    if run.setting("agent.name") == "dqn" and run.number("agent.n_step") == 1:
        gae_lambda = 0.0  # r + γ V(s′) is the target of λ = 0
    late = run.late("explained_variance", LATE)
    if gamma is None or gae_lambda is None or not len(late) or not steps_are_independent(run):
        return None
    share = state_share(run)
    if share is None:
        return None
    noise = (1.0 - share) / share
    return Critic(gamma, gae_lambda, float(late.mean()), ceiling(gamma, gae_lambda, noise), share)


def state_share(run: DiagnosedRun) -> float | None:
    """Share of the reward's variance that the state explains while the judged policy samples; None if unknown.

    If the environment reports the posterior of the label, E[r|s] is exact. Otherwise it is estimated by a ridge
    regression on the observation, the action probabilities and the critic's value. The test is on the half of the
    steps that it was not fitted to.
    """
    sampled = run.sampled
    if sampled is None:
        return None
    try:
        reward = RewardFunction.from_config(run.setting("reward.terms"))
        rewards = reward(sampled.episodes.outcome)[0].astype(np.float64)
    except (InputError, TypeError, ValueError, KeyError) as error:
        run.add_missing("the reward at play", error)
        return None
    variance = float(rewards.var())
    if variance <= 0 or len(rewards) != len(sampled.observations):
        return None
    expected = _exact(sampled.episodes.outcome, sampled.observations, sampled.policy, reward)
    if expected is not None:
        return min(max(float(expected.var()) / variance, 1e-6), 1.0)
    return min(max(_regressed(rewards, sampled.observations, sampled.policy), 1e-6), 1.0)


def _exact(
    outcome: dict[str, np.ndarray], observations: np.ndarray, policy: Any, reward: RewardFunction
) -> np.ndarray | None:
    """`[S]` E[r|s], if the outcome has the posterior of the label; else None."""
    if not {"posterior", "label", "action"} <= outcome.keys() or not hasattr(policy, "probabilities"):
        return None
    probabilities, posterior = policy.probabilities(observations), outcome["posterior"].astype(np.float64)
    expected = np.zeros(len(observations))
    for action in range(probabilities.shape[1]):
        for label, weight in ((0, 1.0 - posterior), (1, posterior)):
            changed = {**outcome, "action": np.full_like(outcome["action"], action)}
            changed["label"] = np.full_like(outcome["label"], label)
            expected += probabilities[:, action] * weight * reward(changed)[0]
    return expected


def _regressed(rewards: np.ndarray, observations: np.ndarray, policy: Any) -> float:
    """R² of rewards `[S]`, each half predicted from the other."""
    columns = [np.ones((len(rewards), 1)), observations]
    if hasattr(policy, "probabilities"):
        columns.append(policy.probabilities(observations))
    if hasattr(policy, "values"):
        columns.append(policy.values(observations)[:, None])
    features = np.concatenate(columns, axis=1).astype(np.float64)
    features[:, 1:] -= features[:, 1:].mean(axis=0)
    features[:, 1:] /= np.maximum(features[:, 1:].std(axis=0), 1e-9)
    half = np.arange(len(rewards)) % 2 == 0
    errors = np.empty(len(rewards))
    for fitted in (half, ~half):
        x, y = features[fitted], rewards[fitted]
        weights = np.linalg.solve(x.T @ x + RIDGE * len(x) * np.eye(x.shape[1]), x.T @ y)
        errors[~fitted] = rewards[~fitted] - features[~fitted] @ weights
    return 1.0 - float(errors.var() / rewards.var())
