"""Did training get better? A permutation test that allows for autocorrelated returns."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

import numpy as np

from rl_eval.errors import InputError
from rl_eval.evidence.bounds import finite_vector
from rl_eval.evidence.confidence_sequence import check_alpha

# 6! = 720 orders, so that p can reach .0014. More blocks of a short series would be more correlated.
MIN_BLOCKS = 6
MAX_BLOCKS = 20


@dataclass(frozen=True)
class Trend:
    """Whether a series rises.

    Attributes:
        rises: later values beat earlier ones, p ≤ α.
        p_value: chance of a rise as steep if the order of the blocks meant nothing.
        slope: least-squares change from the first block to the last, in the units of the values.
        blocks, block_length: how the series was cut; the lengths differ by one at most.
    """

    rises: bool
    p_value: float
    slope: float
    blocks: int
    block_length: int


def trend(
    values: np.ndarray, alpha: float = 0.05, blocks: int | None = None, permutations: int = 9_999, seed: int = 0
) -> Trend:
    """Block permutation test of "later training returns beat earlier ones".

    The series is cut into B consecutive blocks with means b₁..b_B. Without a trend, blocks longer than the correlation
    reaches are nearly exchangeable, so S = Σ (k − (B+1)/2) b_k has nearly the same distribution in any order, and

        p = (1 + #{permutations with S* ≥ S}) / (1 + permutations)

    is a p-value (Phipson and Smyth 2010; blocks: Kunsch 1989, *The jackknife and the bootstrap for general stationary
    observations*). Permuting single returns would mistake their autocorrelation for a trend.

    By default a block is at least 4 integrated correlation times τ = (1+ρ)/(1−ρ) long, ρ the lag-1 correlation after
    a straight line is taken out, as far as MIN_BLOCKS blocks remain.

    Args:
        values: `[T]` in the order of training.

    Raises:
        InputError: fewer values than blocks, or one is not finite.
    """
    check_alpha(alpha)
    values = finite_vector(values, "value")
    if blocks is None:
        blocks = int(np.clip(len(values) // ceil(4 * _correlation_time(values)), MIN_BLOCKS, MAX_BLOCKS))
    if blocks < MIN_BLOCKS or len(values) < blocks:
        raise InputError(
            f"a trend over {len(values)} values in {blocks} blocks cannot be distinguished from chance: "
            f"give at least {MIN_BLOCKS} blocks and as many values"
        )
    means = np.array([part.mean() for part in np.array_split(values, blocks)])
    time = np.arange(blocks) - (blocks - 1) / 2
    observed = float(time @ means)
    rng = np.random.default_rng(seed)
    permuted = rng.permuted(np.broadcast_to(means, (permutations, blocks)), axis=1) @ time
    # the same order of blocks can differ in the last digit when it is summed again
    slack = 1e-9 * float(np.abs(time) @ np.abs(means - means.mean()))
    p_value = (1 + int((permuted >= observed - slack).sum())) / (1 + permutations)
    slope = observed / float(time @ time) * (blocks - 1)
    return Trend(p_value <= alpha, p_value, slope, blocks, ceil(len(values) / blocks))


def _correlation_time(values: np.ndarray) -> float:
    time = np.arange(len(values)) - (len(values) - 1) / 2
    residual = values - values.mean()
    if len(values) > 1:
        residual = residual - time * (time @ residual) / (time @ time)
    power = float(residual @ residual)
    if power <= 1e-18 * max(1.0, float(values @ values)):
        return 1.0
    correlation = float(np.clip(residual[1:] @ residual[:-1] / power, 0.0, 0.99))
    return (1 + correlation) / (1 - correlation)
