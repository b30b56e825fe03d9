"""The betting martingale at one threshold: how much is bet on each unit, and the capital that results."""

from __future__ import annotations

from math import exp, log, log1p, pi, sqrt
from statistics import NormalDist

import numpy as np

from rl_eval.errors import InputError

# A bet never risks more than this share of the capital on one unit, so one bad unit cannot destroy the evidence.
LARGEST_STAKE = 0.9
_FIXED_BETS = 40
# The distance of the smallest fixed bet's alternative from the threshold, in arcsine of the square root: .013 tells
# .80 from .81 and .10 from .108.
_NEAREST = 0.013
_TINY = 1e-12
_NORMAL = NormalDist()
_ROOT_2PI = sqrt(2 * pi)


def check_alpha(alpha: float) -> None:
    """The error probability makes sense.

    Raises:
        InputError: it is not inside (0, ½).
    """
    if not 0.0 < alpha < 0.5:
        raise InputError(f"alpha={alpha:g} is not an error probability: give a number above 0 and below 0.5")


class OneSidedBet:
    """The capital of the bet that the mean of units in [0, 1] is above m.

    With xₜ the unit and mₜ its mean under "the mean is m" (m itself, or on a finite set the mean of what is left),

        Kₜ = ∏ᵢ₌₁..ₜ (1 + λᵢ (xᵢ − mᵢ)),   0 ≤ λᵢ ≤ c / mᵢ,   c = .9.

    λᵢ depends only on earlier units. If the mean is at most m, E[1 + λᵢ (xᵢ − mᵢ) | earlier units] ≤ 1 and no factor
    is below 1 − c. So K is a non-negative supermartingale that starts at 1, and P(Kₜ ≥ 1/α for any t) ≤ α (Ville
    1939). Waudby-Smith and Ramdas, *Estimating means of bounded random variables by betting*, JRSS-B 2024 (arXiv
    2010.09686).

    λᵢ is the larger of two bets:

    - The **universal portfolio**: the mean of 40 fixed bets, weighted by the capital that each would have by now. The
      fixed bet for the alternative μ is (μ − m) / (m (1 − m)). The alternatives are spaced geometrically in
      arcsin√μ − arcsin√m. It needs no limit and grows nearly as fast as the best fixed bet (Cover 1991; Ryu and Bhatt
      2022, arXiv 2207.12382).
    - The **bet that aims at the limit**: it would reach 1/α with the largest probability by the last unit. With R
      units left, q = α K and u = Φ⁻¹(q), that is λ = φ(u) / (q σ √R): the hedge of a digital option, with capital q
      of what it pays. σ² is the mean of (xᵢ − mᵢ)² so far and of m (1 − m) once. After Snyder et al. 2025, arXiv
      2505.22422, who also let the capital and the limit set the bet.

    Args:
        m: the candidate mean, in [0, 1].
        limit: how many units there will be at most; None if that is unknown, which leaves the universal portfolio.

    Attributes:
        log_capital: log K.
    """

    def __init__(self, m: float, alpha: float, limit: int | None = None) -> None:
        check_alpha(alpha)
        m = min(max(m, _TINY), 1 - _TINY)
        start = np.arcsin(np.sqrt(m))
        end = np.pi / 2 - start
        distances = np.geomspace(min(_NEAREST, end / 4), end, _FIXED_BETS)
        self._fixed = (np.sin(start + distances) ** 2 - m) / (m * (1 - m))
        self._fixed_capitals = np.zeros(_FIXED_BETS)  # logs
        self._target, self._limit = log(1 / alpha), limit
        self._units, self._squares = 0, m * (1 - m)
        self.log_capital = 0.0

    def advance(self, gains: np.ndarray, means: np.ndarray) -> np.ndarray:
        """Bet on n further units.

        Args:
            gains: `[n]` xᵢ − mᵢ.
            means: `[n]` mᵢ, in [0, 1].

        Returns:
            `[n]` log K after each of them.
        """
        largest = LARGEST_STAKE / np.maximum(means, _TINY)
        universal, informative = np.zeros(len(gains)), np.flatnonzero(gains)
        universal[informative] = self._universal(gains[informative], largest[informative])
        before = self._units + np.arange(len(gains))
        squares = np.cumsum(np.concatenate([[self._squares], gains * gains]))
        if self._limit is None:
            scales = np.zeros(len(gains))
        else:
            scales = 1 / np.sqrt(squares[:-1] / (before + 1) * np.maximum(self._limit - before, 1))
        self._units, self._squares = self._units + len(gains), float(squares[-1])
        return self._follow(gains.tolist(), universal.tolist(), scales.tolist(), largest.tolist())

    def _universal(self, gains: np.ndarray, largest: np.ndarray) -> np.ndarray:
        """`[n]` the bets of the universal portfolio."""
        bets = np.minimum(self._fixed, largest[:, None])
        capitals = np.cumsum(np.concatenate([self._fixed_capitals[None], np.log1p(bets * gains[:, None])]), axis=0)
        self._fixed_capitals = capitals[-1]
        weights = np.exp(capitals[:-1] - capitals[:-1].max(axis=1, keepdims=True))
        return (weights * bets).sum(axis=1) / weights.sum(axis=1)

    def _follow(
        self, gains: list[float], universal: list[float], scales: list[float], largest: list[float]
    ) -> np.ndarray:
        """The bets that depend on the capital, unit by unit."""
        log_capital, reached = self.log_capital, np.empty(len(gains))
        for i, gain in enumerate(gains):
            if gain:
                bet = universal[i]
                if scales[i] and log_capital < self._target:
                    q = max(exp(log_capital - self._target), 1e-300)
                    u = _NORMAL.inv_cdf(min(q, 1 - _TINY))
                    bet = max(bet, exp(-u * u / 2) / (_ROOT_2PI * q) * scales[i])
                log_capital += log1p(min(bet, largest[i]) * gain)
            reached[i] = log_capital
        self.log_capital = log_capital
        return reached
