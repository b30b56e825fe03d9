"""Simulate many gates at once: decisions only, without intervals. The same bets as `OneSidedBet`, a gate a row."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from rl_eval.evidence.betting import LARGEST_STAKE, OneSidedBet
from rl_eval.evidence.bounds import threshold_to_unit_interval, to_unit_interval
from rl_eval.evidence.direction import meets, wants_above
from rl_eval.evidence.finite_population import impossible


@dataclass(frozen=True)
class GateDecisions:
    """What S gates decided.

    Attributes:
        decision: `[S]` of "PASS", "FAIL", "INCONCLUSIVE".
        stopped_at: `[S]` units used.
    """

    decision: np.ndarray
    stopped_at: np.ndarray

    def share(self, decision: str) -> float:
        """The share of the gates that decided so."""
        return float((self.decision == decision).mean())


def decide_means(xs, theta, low=0.0, high=1.0, alpha=0.05, direction="at_least", population=None, limit=None):
    """S gates on the mean of a bounded variable.

    Args:
        xs: `[S, T]` within the bounds.
        limit: units at most; default: T.
    """
    assert np.min(xs) >= low
    assert np.max(xs) <= high
    m = threshold_to_unit_interval(theta, low, high)
    return run_gates(to_unit_interval(xs, low, high).T - m, m, alpha, direction, population, limit or np.shape(xs)[1])


def decide_f1(hits, informative, theta, alpha=0.05, *, population=None, longest=1, limit=None) -> GateDecisions:
    """S gates on F1.

    Args:
        hits, informative: `[S, T]` the counts of each unit.
    """
    share = theta / (2 - theta)
    z = (hits - share * informative).T / longest
    return run_gates(z, share, alpha, "at_least", population, limit or len(z))


def run_gates(z, m, alpha, direction, population, limit) -> GateDecisions:
    """Both bets against one threshold, a gate a column.

    Args:
        z: `[T, S]` x − m.
        m: the threshold, in (0, 1).
    """
    steps = len(z)
    never = steps + 1
    if population is not None:
        limit = min(limit, population)
    above = _first_time(z, m, alpha, population, limit)
    below = _first_time(-z, 1 - m, alpha, population, limit)
    passes, fails = (above, below) if wants_above(direction) else (below, above)
    stopped = np.minimum(passes, fails)
    decision = np.where(stopped == never, "INCONCLUSIVE", np.where(fails <= passes, "FAIL", "PASS"))
    if steps == population:
        decision = np.where(meets(z.mean(axis=0), 0.0, direction), "PASS", "FAIL")
    return GateDecisions(decision, np.minimum(stopped, steps))


def _first_time(z, m, alpha, population, limit):
    """`[S]` the unit at which the bet "above" reaches 1/alpha; T + 1 for never."""
    steps, gates = z.shape
    fixed = OneSidedBet(m, alpha)._fixed
    target = np.log(1 / alpha)
    first = np.full(gates, steps + 1)
    alive = np.arange(gates)
    capitals, logs = np.zeros((gates, len(fixed))), np.zeros(gates)
    squares, z_sum = np.full(gates, m * (1 - m)), np.zeros(gates)
    for t in range(steps):
        gain, mean = z[t, alive], np.full(len(alive), m)
        if population is not None:
            shift = -z_sum / (population - t)
            mean = np.clip(m + shift, 0, 1)
            z_sum = z_sum + gain
            refuted = impossible(m, z_sum, t + 1, population)[0]
            gain = np.maximum(gain - shift, -mean)
        largest = LARGEST_STAKE / np.maximum(mean, 1e-12)
        bets = np.minimum(fixed, largest[:, None])
        weights = np.exp(capitals - capitals.max(axis=1, keepdims=True))
        universal = (weights * bets).sum(axis=1) / weights.sum(axis=1)
        q = np.clip(np.exp(logs - target), 1e-300, 1 - 1e-12)
        u = ndtri(q)
        aim = np.exp(-u * u / 2) / (np.sqrt(2 * np.pi) * q) / np.sqrt(squares / (t + 1) * max(limit - t, 1))
        logs = logs + np.log1p(np.minimum(np.maximum(universal, aim), largest) * gain)
        capitals = capitals + np.log1p(bets * gain[:, None])
        squares = squares + gain * gain
        done = logs >= target if population is None else (logs >= target) | refuted
        if done.any():
            first[alive[done]] = t + 1
            alive, capitals, logs, squares = alive[~done], capitals[~done], logs[~done], squares[~done]
            z_sum = z_sum[~done] if population is not None else z_sum
            if not len(alive):
                break
    return first
