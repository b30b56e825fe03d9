"""Advantages and returns as pure functions on `[T, N]` arrays (T steps of N environment copies).

Everywhere `next_values[t]` is the value of the observation that step t led to: the final observation
where an episode ended, never the first observation of the next one. `terminated` marks ends that have
no future; `done` marks every end, terminations and truncations alike. So a truncation bootstraps, a
termination does not, and nothing crosses either.
"""

from __future__ import annotations

import numpy as np

# Below so many, one number after the other is faster than an operation on the row of a step.
FEW_COPIES = 10


def _check(**arrays: np.ndarray) -> None:
    """All arrays have one shape `[T, N]` and, where they are floating, only finite numbers."""
    shapes = {name: np.shape(array) for name, array in arrays.items()}
    if len(set(shapes.values())) != 1 or len(next(iter(shapes.values()))) != 2:
        raise ValueError(f"expected arrays of one shape [T, N], got {shapes}")
    for name, array in arrays.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            t, n = np.argwhere(~np.isfinite(array))[0]
            raise ValueError(f"{name}[{t}, {n}] is {array[t, n]}")


def _check_rates(**rates: float) -> None:
    for name, rate in rates.items():
        if not 0.0 <= rate <= 1.0:
            raise ValueError(f"{name}={rate} is outside [0, 1]")


def td_errors(
    rewards: np.ndarray, values: np.ndarray, next_values: np.ndarray, terminated: np.ndarray, gamma: float
) -> np.ndarray:
    """One-step errors δ_t = r_t + γ (1 − terminated_t) V(s_{t+1}) − V(s_t), `[T, N]`."""
    return rewards + gamma * np.where(terminated, 0.0, next_values) - values


def gae(
    rewards: np.ndarray,
    values: np.ndarray,
    next_values: np.ndarray,
    terminated: np.ndarray,
    done: np.ndarray,
    gamma: float,
    gae_lambda: float,
) -> np.ndarray:
    """Generalised advantage estimation.

    A_t = δ_t + γ λ (1 − done_t) A_{t+1}, with δ_t of `td_errors`; after the last step A is 0.
    Schulman et al., *High-dimensional continuous control using generalized advantage estimation*,
    ICLR 2016 (arXiv 1506.02438), eq. 11–16.

    Args:
        rewards, values, next_values: float `[T, N]`.
        terminated, done: bool `[T, N]`.
        gamma, gae_lambda: in [0, 1].

    Returns:
        The advantages `[T, N]`.

    Raises:
        ValueError: shapes differ, a number is not finite, or a rate is outside [0, 1].
    """
    _check(rewards=rewards, values=values, next_values=next_values, terminated=terminated, done=done)
    _check_rates(gamma=gamma, gae_lambda=gae_lambda)
    advantages = td_errors(rewards, values, next_values, terminated, gamma)
    if gamma * gae_lambda == 0.0:
        return advantages
    carry: np.ndarray = np.where(done, 0.0, gamma * gae_lambda)
    if advantages.shape[1] < FEW_COPIES:
        for n, (deltas, rates) in enumerate(zip(advantages.T.tolist(), carry.T.tolist(), strict=True)):
            after = 0.0
            for t in range(len(deltas) - 1, -1, -1):
                deltas[t] = after = deltas[t] + rates[t] * after
            advantages[:, n] = deltas
        return advantages
    for t in range(len(advantages) - 2, -1, -1):
        advantages[t] += carry[t] * advantages[t + 1]
    return advantages


def lambda_returns(
    rewards: np.ndarray,
    next_values: np.ndarray,
    terminated: np.ndarray,
    done: np.ndarray,
    gamma: float,
    lambda_: float,
) -> np.ndarray:
    """λ-returns, G_t = r_t + γ [(1 − λ) V(s_{t+1}) + λ G_{t+1}], `[T, N]`.

    At the end of an episode and of the arrays, G_{t+1} is V(s_{t+1}); after a termination both are 0.
    Sutton and Barto, *Reinforcement Learning*, 2nd ed., eq. 12.2–12.4. Equal to `gae` + values.

    Raises:
        ValueError: as `gae`.
    """
    _check(rewards=rewards, next_values=next_values, terminated=terminated, done=done)
    _check_rates(gamma=gamma, lambda_=lambda_)
    bootstrap = np.where(terminated, 0.0, next_values)
    returns = np.empty_like(bootstrap)
    future: np.ndarray = bootstrap[-1:].sum(axis=0)  # `[N]`; zeros where there are no steps
    for t in range(len(bootstrap) - 1, -1, -1):
        future = np.where(done[t], bootstrap[t], future)
        returns[t] = rewards[t] + gamma * ((1.0 - lambda_) * bootstrap[t] + lambda_ * future)
        future = returns[t]
    return returns


def n_step_returns(
    rewards: np.ndarray,
    next_values: np.ndarray,
    terminated: np.ndarray,
    done: np.ndarray,
    gamma: float,
    n: int,
) -> np.ndarray:
    """n-step returns, G_t = Σ_{k<m} γ^k r_{t+k} + γ^m V(s_{t+m}), `[T, N]`.

    m is n, or less where the episode or the arrays end first; after a termination V is 0.
    Sutton and Barto, *Reinforcement Learning*, 2nd ed., eq. 7.1. With n = 1 it is the one-step target,
    with n ≥ T the λ-return at λ = 1.

    Raises:
        ValueError: as `gae`, or n < 1.
    """
    _check(rewards=rewards, next_values=next_values, terminated=terminated, done=done)
    _check_rates(gamma=gamma)
    if n < 1:
        raise ValueError(f"n={n} is below 1")
    steps = len(rewards)
    returns = np.where(terminated, 0.0, next_values)
    target = rewards + gamma * returns  # m = 1 for every t
    one_step = target.copy()
    for _ in range(1, min(n, steps)):
        longer = one_step.copy()
        longer[:-1] = np.where(done[:-1], one_step[:-1], rewards[:-1] + gamma * target[1:])
        target = longer
    return target
