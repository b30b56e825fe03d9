"""Many gates at once, as simulations need them: the decisions alone, without intervals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rl_eval.errors import InputError
from rl_eval.evidence.bounds import scaled, scaled_threshold
from rl_eval.evidence.direction import Direction, check_direction, meets, wants_above
from rl_eval.evidence.finite import conditional_means, impossible
from rl_eval.evidence.two_sided import check_alpha, chunks
from rl_eval.evidence.wealth import Wealth


@dataclass(frozen=True)
class Decisions:
    """What S gates decided.

    Attributes:
        decision: `[S]` of "PASS", "FAIL", "INCONCLUSIVE".
        stopped_at: `[S]` units used.
    """

    decision: np.ndarray
    stopped_at: np.ndarray

    def share(self, decision: str) -> float:
        """How many of the gates decided so, of 1."""
        return float((self.decision == decision).mean())


def decide_many(
    xs: np.ndarray,
    theta: float,
    low: float = 0.0,
    high: float = 1.0,
    alpha: float = 0.05,
    direction: Direction = "at_least",
    population: int | None = None,
) -> Decisions:
    """S gates on the mean of a bounded variable.

    The rule is K⁺(θ) ≥ 1/α or K⁻(θ) ≥ 1/α (`Wealth`). `Betting` also waits until every candidate on the far side of θ
    has been rejected, so it never decides earlier; in practice it is the same unit.

    Args:
        xs: `[S, T]` within the bounds.

    Raises:
        InputError: there are no units, or one is not finite or past the bounds.
    """
    if np.ndim(xs) != 2 or 0 in np.shape(xs):
        raise InputError(f"expected units of the shape [S, T] with at least one, and got {np.shape(xs)}")
    m = scaled_threshold(theta, low, high)
    if not (np.min(xs) >= low and np.max(xs) <= high):
        raise InputError(f"a unit is not within [{low:g}, {high:g}]: clip the units first")
    return race(scaled(xs, low, high).T, m, alpha, direction, population, np.mean(xs, axis=1) - theta)


def race(
    x: np.ndarray, m: float, alpha: float, direction: Direction, population: int | None, ahead: np.ndarray
) -> Decisions:
    """K⁺ and K⁻ against one threshold, a gate a column.

    Args:
        x: `[T, S]` in [0, 1].
        m: the threshold, in [0, 1].
        ahead: `[S]` how far the metric of all units is above it, which decides where a finite set is exhausted.
    """
    check_direction(direction)
    check_alpha(alpha)
    steps, gates = x.shape
    if population is not None and steps > population:
        raise InputError(f"{steps} units came out of a set of {population}: give the size of the whole set")
    wealth, bar = Wealth(gates), np.log(1 / alpha)
    never = steps + 1
    above, below = np.full(gates, never), np.full(gates, never)  # the unit of each claim
    for rows in chunks(steps):
        part = x[rows]
        if population is None:
            up, down = (log_wealth >= bar for log_wealth in wealth.advance(part, np.full((1, 1), m)))
        else:
            seen = np.arange(rows.start, rows.stop)[:, None]
            sums = wealth.sums_before(part)
            too_low, too_high = impossible(np.array([m]), sums + part, seen + 1, population)
            means = conditional_means(np.array([m]), sums, seen, population)
            up, down = (log_wealth >= bar for log_wealth in wealth.advance(part, means))
            up, down = up | too_low, down | too_high
        for first, reached in ((above, up), (below, down)):
            new = reached.any(axis=0) & (first == never)
            first[new] = rows.start + reached.argmax(axis=0)[new] + 1
        if (np.minimum(above, below) < never).all():
            break
    passes, fails = (above, below) if wants_above(direction) else (below, above)
    stopped = np.minimum(passes, fails)
    decision = np.where(stopped == never, "INCONCLUSIVE", np.where(fails <= passes, "FAIL", "PASS"))
    if steps == population:
        met = meets(ahead, 0.0, direction)
        decision = np.where(stopped >= steps, np.where(met, "PASS", "FAIL"), decision)
    return Decisions(decision, np.minimum(stopped, steps))
