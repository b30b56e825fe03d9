"""Advantages: their estimation on `[T, N]` arrays (T steps of N environment copies), and their normalisation.

`next_values[t]` is always the value of the observation that step t led to: the final observation where an episode
ended, never the first observation of the next one. `terminated` marks ends without a future; `done` marks every end,
terminations and truncations alike. So a truncation bootstraps, a termination does not, and nothing crosses either.
"""

from __future__ import annotations

from typing import Any

import numpy as np

LARGEST_LOG_RATIO = 20.0  # of two policies; `vtrace` clips much earlier, and e²⁰ is far from overflow
# With fewer copies, plain Python numbers are faster than numpy operations on the row of a step.
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
            next_advantage = 0.0
            for t in range(len(deltas) - 1, -1, -1):
                deltas[t] = next_advantage = deltas[t] + rates[t] * next_advantage
            advantages[:, n] = deltas
        return advantages
    for t in range(len(advantages) - 2, -1, -1):
        advantages[t] += carry[t] * advantages[t + 1]
    return advantages


def vtrace(
    rewards: np.ndarray,
    values: np.ndarray,
    next_values: np.ndarray,
    terminated: np.ndarray,
    done: np.ndarray,
    gamma: float,
    gae_lambda: float,
    ratios: np.ndarray,
    clip: float = 1.0,
) -> tuple[np.ndarray, np.ndarray]:
    """Advantages of actions that another policy chose: V-trace.

    With ρ = min(ratio, clip) and c = λ min(ratio, 1), and the value target v_t = V(s_t) + e_t,

        e_t = ρ_t δ_t + γ c_t (1 − done_t) e_{t+1}
        A_t = ρ_t (δ_t + γ λ (1 − done_t) e_{t+1})

    Espeholt et al., *IMPALA*, ICML 2018 (arXiv 1802.01561), eq. 1 and section 4.2, with λ as in its remark 2 and, in
    A_t, as in rlax's `vtrace_td_error_and_advantage`. With all ratios 1 both are `gae`.

    Args:
        rewards, values, next_values, terminated, done, gamma, gae_lambda: as of `gae`.
        ratios: `[T, N]`, π(a | s) / μ(a | s) of the policy that learns and the one that chose.
        clip: ρ̄, at least 1.

    Returns:
        A and e, both `[T, N]`.

    Raises:
        ValueError: as of `gae`; or a ratio is negative.
    """
    _check(rewards=rewards, values=values, next_values=next_values, terminated=terminated, done=done, ratios=ratios)
    _check_rates(gamma=gamma, gae_lambda=gae_lambda)
    if (ratios < 0).any():
        raise ValueError("a ratio of two probabilities is negative")
    deltas = td_errors(rewards, values, next_values, terminated, gamma)
    rho, goes_on = np.minimum(ratios, clip), np.where(done, 0.0, gamma * gae_lambda)
    carry = goes_on * np.minimum(ratios, 1.0)
    errors = rho * deltas
    for t in range(len(errors) - 2, -1, -1):
        errors[t] += carry[t] * errors[t + 1]
    following = np.concatenate([errors[1:], np.zeros_like(errors[:1])])
    return rho * (deltas + goes_on * following), errors


def normalize_advantages(advantages: Any) -> Any:
    """Advantages `[B]` of mean 0 and standard deviation 1, tensors or arrays; a single one stays as it is."""
    if len(advantages) < 2:
        return advantages
    centred = advantages - advantages.mean()
    # The unbiased deviation, as torch and Stable-Baselines3 have it.
    return centred / (((centred * centred).sum() / (len(centred) - 1)) ** 0.5 + 1e-8)


def normalize_minibatches(advantages: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """`normalize_advantages` of each minibatch of `advantages` `[B]`; `starts` are their first rows."""
    counts = np.diff(starts, append=len(advantages))
    if counts.min() < 2:
        return advantages
    centred = advantages - np.repeat(np.add.reduceat(advantages, starts) / counts, counts)
    deviation = np.sqrt(np.add.reduceat(centred * centred, starts) / (counts - 1)) + 1e-8
    return (centred / np.repeat(deviation, counts)).astype(np.float32)
