"""Simulate many gates at once: decisions only, without intervals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rl_eval.evidence.bounds import threshold_to_unit_interval, to_unit_interval
from rl_eval.evidence.capital_process import CapitalProcess
from rl_eval.evidence.confidence_sequence import chunk_slices
from rl_eval.evidence.direction import meets, wants_above
from rl_eval.evidence.finite_population import conditional_means, impossible_means


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


def decide_means(xs, theta, low=0.0, high=1.0, alpha=0.05, direction="at_least", population=None) -> GateDecisions:
    """S gates on the mean of a bounded variable.

    The rule is K⁺(θ) ≥ 1/α or K⁻(θ) ≥ 1/α (`CapitalProcess`). `MeanTest` also waits until every candidate on the far
    side of θ has been rejected, so it never decides earlier; in practice it is the same unit.

    Args:
        xs: `[S, T]` within the bounds.
    """
    assert np.min(xs) >= low
    assert np.max(xs) <= high
    m = threshold_to_unit_interval(theta, low, high)
    lead = np.mean(xs, axis=1) - theta
    return run_gates(to_unit_interval(xs, low, high).T, m, alpha, direction, population, lead)


def decide_f1(hits, informative, theta, alpha=0.05, *, population=None, longest=1) -> GateDecisions:
    """S gates on F1.

    Args:
        hits, informative: `[S, T]` the counts of each unit.
    """
    share = theta / (2 - theta)
    x = share + (hits - share * informative).T / longest
    lead = hits.sum(axis=1) - share * informative.sum(axis=1)
    return run_gates(x, share, alpha, "at_least", population, lead)


def run_gates(x, m, alpha, direction, population, lead) -> GateDecisions:
    """K⁺ and K⁻ against one threshold, a gate a column.

    Args:
        x: `[T, S]` in [0, 1].
        m: the threshold, in [0, 1].
        lead: `[S]` how far the metric of all units is above it, which decides where a finite set is exhausted.
    """
    steps, gates = x.shape
    assert population is None or steps <= population
    capital, log_bar = CapitalProcess(gates), np.log(1 / alpha)
    never = steps + 1
    above, below = np.full(gates, never), np.full(gates, never)  # the unit of each claim
    for rows in chunk_slices(steps):
        part = x[rows]
        if population is None:
            up, down = (log_capital >= log_bar for log_capital in capital.advance(part, np.full((1, 1), m)))
        else:
            units = np.arange(rows.start, rows.stop)[:, None]
            sums = capital.sums_before(part)
            too_low, too_high = impossible_means(np.array([m]), sums + part, units + 1, population)
            means = conditional_means(np.array([m]), sums, units, population)
            up, down = (log_capital >= log_bar for log_capital in capital.advance(part, means))
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
        met = meets(lead, 0.0, direction)
        decision = np.where(stopped >= steps, np.where(met, "PASS", "FAIL"), decision)
    return GateDecisions(decision, np.minimum(stopped, steps))
