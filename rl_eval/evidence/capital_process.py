"""The betting martingale of a mean: how much is bet on each unit, and the capital that results."""

from __future__ import annotations

import numpy as np

# A bet never risks more than this share of the capital on one unit, so one bad unit cannot destroy the evidence.
TRUNCATION = 0.75
_TINY = 1e-300


class CapitalProcess:
    """The log-capital of the bets for and against K candidate means. The units are in [0, 1].

    With m the candidate (given the earlier units), the capital of the bet "the mean is above m" is

        K⁺ₜ = ∏ᵢ₌₁..ₜ (1 + λᵢ⁺ (xᵢ − m)),   0 ≤ λᵢ⁺ ≤ c/m.

    The capital of the bet "the mean is below m" is K⁻ₜ, the same product with −c/(1−m) ≤ λᵢ⁻ ≤ 0. λᵢ depends on
    x₁..xᵢ₋₁ alone. If the mean is at most m, E[1 + λᵢ⁺(xᵢ − m) | earlier units] ≤ 1 and no factor is below 1 − c > 0.
    So K⁺ is a non-negative supermartingale that starts at 1, and P(K⁺ₜ ≥ 1/α for any t) ≤ α (Ville 1939). The same
    holds for K⁻.

    The bets are aGRAPA, which nearly maximises the expected growth of log K under the moments of the earlier units:

        λᵢ = clip((μ̂ − m) / (σ̂² + (μ̂ − m)²), −c/(1−m), c/m),  c = .75,
        μ̂ₜ = (½ + Σᵢ≤ₜ xᵢ) / (t+1),   σ̂²ₜ = (¼ + Σᵢ≤ₜ (xᵢ − μ̂ᵢ)²) / (t+1),   of t = i−1.

    The sign of λᵢ says which side bets on the unit. The other side does not bet (λ = 0).

    Waudby-Smith and Ramdas, *Estimating means of bounded random variables by betting*, JRSS-B 2024
    (arXiv 2010.09686), section 4 and appendix B.3.

    Attributes:
        units: how many units were added.
        total: `[1]` or `[K]` their sum.
        log_above, log_below: `[K]` log K⁺ and log K⁻.
    """

    def __init__(self, candidates: int) -> None:
        self.units = 0
        self.total = np.zeros(1)
        self.log_above = np.zeros(candidates)
        self.log_below = np.zeros(candidates)
        self._squares = np.zeros(1)

    def sums_before(self, x: np.ndarray) -> np.ndarray:
        """The sum of all units before each of the next ones. It has the shape of x."""
        return _exclusive_sums(x, self.total)

    def advance(self, x: np.ndarray, m: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Bet on n further units.

        Args:
            x: `[n, 1]` the units, or `[n, K]` where they depend on the candidate; in [0, 1].
            m: `[1, K]` the candidates, or `[n, K]` their conditional means; in [0, 1].

        Returns:
            log K⁺ and log K⁻ after each of the units, both `[n, K]`.
        """
        before = self.units + np.arange(len(x))[:, None]  # [n, 1] the number of units before each one
        sums = self.sums_before(x)
        mean = (0.5 + sums) / (before + 1)
        deviations = (x - (0.5 + sums + x) / (before + 2)) ** 2
        variance = (0.25 + _exclusive_sums(deviations, self._squares)) / (before + 1)

        gap = mean - m
        bet = gap / (variance + gap * gap)
        np.minimum(bet, TRUNCATION / np.maximum(m, _TINY), out=bet)
        np.maximum(bet, -TRUNCATION / np.maximum(1.0 - m, _TINY), out=bet)
        growth = np.log1p(bet * (x - m))
        log_above = self.log_above + np.cumsum(np.where(bet > 0, growth, 0.0), axis=0)
        log_below = self.log_below + np.cumsum(np.where(bet < 0, growth, 0.0), axis=0)

        self.units += len(x)
        self.total = self.total + x.sum(axis=0)
        self._squares = self._squares + deviations.sum(axis=0)
        if len(x):
            self.log_above, self.log_below = log_above[-1], log_below[-1]
        return log_above, log_below


def _exclusive_sums(values: np.ndarray, start: np.ndarray) -> np.ndarray:
    """`start` plus the sum of all earlier rows, for each row."""
    sums = np.empty_like(values)
    if len(values):
        sums[0] = 0.0
        np.cumsum(values[:-1], axis=0, out=sums[1:])
    return start + sums
