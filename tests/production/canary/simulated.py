"""Many roll-outs at once: the bets of `TwoSampleTest` at the looks of `RewardEvidence`, on counts of 0 and 1."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rl_eval.evidence.ratio_difference import JointBet
from rl_eval.evidence.share_interval import log_mean_exp
from rl_eval.evidence.two_samples import _weights
from rl_eval.production.canary.evidence import looks, step_alpha

_BATCH = 2_000  # roll-outs in memory at once


@dataclass(frozen=True)
class Steps:
    """How one step ended, `[R]` each: 1 promote, −1 roll back, 0 undecided; and after how many units."""

    decision: np.ndarray
    units: np.ndarray


class _Bet:
    """One side of the joint bet, for R roll-outs."""

    def __init__(self, margin, share, alpha, rollouts, swapped):
        bet, (one, two) = JointBet.start(margin), _weights(share)
        first = np.array([[one, one], [0, one], [0, 0], [0, 0]])
        second = np.array([[0, 0], [0, 0], [two, two], [0, two]])
        if swapped:
            first, second = second, first
        self.growth = bet._growth(first, second, np.zeros(4), None).transpose(2, 0, 1, 3)  # [C, 2, 4, P]
        self.bar = np.log(1 / alpha)
        self.open = np.ones((len(self.growth), rollouts), bool)

    def shown(self, counts, index):
        """Whether every cell of θ is refuted, of the roll-outs `index` with `counts` `[n, 4]`."""
        still = self.open[:, index]
        for cell, (low, high) in enumerate(self.growth):
            which = np.flatnonzero(still[cell])  # a cell that is refuted stays so
            if len(which):
                some = counts[which]
                logs = np.minimum(some @ low, some @ high)
                high_enough = np.flatnonzero(logs.max(axis=1) >= self.bar)  # the mean is no larger than the largest
                refuted = high_enough[log_mean_exp(logs[high_enough]) >= self.bar]
                self.open[cell, index[which[refuted]]] = False
        return ~self.open[:, index].any(axis=0)


def simulate_step(rng, config, share, rates, rollouts, limit, record=None):
    """One step of R roll-outs with rewards 0 and 1.

    Args:
        rates: of the challenger and of the champion.
        limit: `[R]` units that each has at most.
        record: a list that gets which roll-outs there were at each look, and their new units of the four kinds.
    """
    parts = [
        _simulate(rng, config, share, rates, limit[start : start + _BATCH], record)
        for start in range(0, rollouts, _BATCH)
    ]
    return Steps(*(np.concatenate([getattr(part, name) for part in parts]) for name in ("decision", "units")))


def _simulate(rng, config, share, rates, limit, record):
    rollouts, alpha = len(limit), step_alpha(config)
    above = _Bet(-config.margin, share, alpha, rollouts, False)
    below = _Bet(config.margin, share, alpha, rollouts, True)
    counts, decision, units = np.zeros((rollouts, 4)), np.zeros(rollouts, int), limit.copy()
    chances = [share * rates[0], share * (1 - rates[0]), (1 - share) * rates[1], (1 - share) * (1 - rates[1])]
    active, before = np.arange(rollouts), 0
    for at in looks(0, int(limit.max())):
        active = active[limit[active] >= at]
        if not len(active):
            break
        new = rng.multinomial(at - before, chances, size=len(active))
        counts[active] += new
        if record is not None:
            record.append((active, new))
        before = at
        defined = (counts[active, :2].sum(axis=1) > 0) & (counts[active, 2:].sum(axis=1) > 0)
        fails, passes = below.shown(counts[active], active) & defined, above.shown(counts[active], active) & defined
        for ended, value in ((passes, 1), (fails, -1)):
            decision[active[ended]] = value
        units[active[passes | fails]] = at
        active = active[~(passes | fails)]
    return Steps(decision, units)


@dataclass(frozen=True)
class Rollouts:
    """How R roll-outs ended, `[R]` each.

    Attributes:
        outcome: `full`, `rolled_back` or `hold`.
        step: index of the step in which it ended; the number of steps where it reached all units.
        units: in sum.
        first_units: of the first step.
    """

    outcome: np.ndarray
    step: np.ndarray
    units: np.ndarray
    first_units: np.ndarray


def simulate(rng, config, rates, rollouts, most):
    """R roll-outs with at most `most` units each, in sum."""
    outcome, step = np.full(rollouts, "hold", dtype=object), np.zeros(rollouts, int)
    used, first_units = np.zeros(rollouts, int), None
    running = np.arange(rollouts)
    for index, share in enumerate(config.steps):
        if not len(running):
            break
        limit = np.minimum(config.step.units, most - used[running])
        steps = simulate_step(rng, config, share, rates, len(running), limit)
        first_units = steps.units if first_units is None else first_units
        used[running] += steps.units
        outcome[running[steps.decision == -1]] = "rolled_back"
        running = running[steps.decision == 1]
        step[running] = index + 1
    outcome[running] = "full"
    return Rollouts(outcome, step, used, first_units)
