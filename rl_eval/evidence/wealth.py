"""Bets on a mean: how much, and what a gambler who starts with 1 has made of it so far."""

from __future__ import annotations

import numpy as np

# A bet never risks more than this share of the wealth on one unit, so one bad unit cannot ruin the evidence.
TRUNCATION = 0.75
_TINY = 1e-300


class Wealth:
    """The log-wealth of the two gamblers of K candidate means, fed with units in [0, 1].

    With m the candidate (given the past), the one who says "the mean is above m" has

        K⁺ₜ = ∏ᵢ₌₁..ₜ (1 + λᵢ⁺ (xᵢ − m)),   0 ≤ λᵢ⁺ ≤ c/m,

    and the one who says "below" has K⁻ₜ, the same product with −c/(1−m) ≤ λᵢ⁻ ≤ 0. λᵢ depends on x₁..xᵢ₋₁ alone.
    If the mean is at most m, E[1 + λᵢ⁺(xᵢ − m) | past] ≤ 1 and no factor is below 1 − c > 0: K⁺ is a non-negative
    supermartingale that starts at 1, so P(K⁺ₜ ≥ 1/α for any t) ≤ α (Ville 1939). K⁻ likewise.

    The bets are aGRAPA, which nearly maximises the expected growth of log K under the moments seen so far:

        λᵢ = clip((μ̂ − m) / (σ̂² + (μ̂ − m)²), −c/(1−m), c/m),  c = .75,
        μ̂ₜ = (½ + Σᵢ≤ₜ xᵢ) / (t+1),   σ̂²ₜ = (¼ + Σᵢ≤ₜ (xᵢ − μ̂ᵢ)²) / (t+1),   of t = i−1.

    Its sign says which of the two gamblers bets; the other one sits this unit out (λ = 0).

    Waudby-Smith and Ramdas, *Estimating means of bounded random variables by betting*, JRSS-B 2024
    (arXiv 2010.09686), section 4 and appendix B.3.

    Attributes:
        seen: units so far.
        total: `[1]` or `[K]` the sum of them.
        up, down: `[K]` log K⁺ and log K⁻.
    """

    def __init__(self, columns: int) -> None:
        self.seen = 0
        self.total = np.zeros(1)
        self.up = np.zeros(columns)
        self.down = np.zeros(columns)
        self._squares = np.zeros(1)

    def sums_before(self, x: np.ndarray) -> np.ndarray:
        """The sum of all units before each of the next ones, of the shape of x."""
        return _exclusive(x, self.total)

    def advance(self, x: np.ndarray, m: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Bet on n further units.

        Args:
            x: `[n, 1]` the units, or `[n, K]` where they depend on the candidate; in [0, 1].
            m: `[1, K]` the candidates, or `[n, K]` their conditional means; in [0, 1].

        Returns:
            log K⁺ and log K⁻ after each of the units, each `[n, K]`.
        """
        before = self.seen + np.arange(len(x))[:, None]  # [n, 1] units seen before each
        sums = self.sums_before(x)
        mean = (0.5 + sums) / (before + 1)
        deviations = (x - (0.5 + sums + x) / (before + 2)) ** 2
        variance = (0.25 + _exclusive(deviations, self._squares)) / (before + 1)

        gap = mean - m
        bet = gap / (variance + gap * gap)
        np.minimum(bet, TRUNCATION / np.maximum(m, _TINY), out=bet)
        np.maximum(bet, -TRUNCATION / np.maximum(1.0 - m, _TINY), out=bet)
        growth = np.log1p(bet * (x - m))
        up = self.up + np.cumsum(np.where(bet > 0, growth, 0.0), axis=0)
        down = self.down + np.cumsum(np.where(bet < 0, growth, 0.0), axis=0)

        self.seen += len(x)
        self.total = self.total + x.sum(axis=0)
        self._squares = self._squares + deviations.sum(axis=0)
        if len(x):
            self.up, self.down = up[-1], down[-1]
        return up, down


def _exclusive(values: np.ndarray, start: np.ndarray) -> np.ndarray:
    """`start` plus the sum of all earlier rows, for each row."""
    sums = np.empty_like(values)
    if len(values):
        sums[0] = 0.0
        np.cumsum(values[:-1], axis=0, out=sums[1:])
    return start + sums
