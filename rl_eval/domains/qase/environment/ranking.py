"""How good an order of test cases is: ranks, APFD, NAPFD, and what a time budget lets run. Pure functions.

K cycles side by side, each padded to L cases; `real` `[K, L]` says which places hold one. Ranks count from 1.
"""

from __future__ import annotations

import numpy as np


def mid_ranks(scores: np.ndarray, real: np.ndarray) -> np.ndarray:
    """The rank of each case when the highest score runs first, `[K, L]`; equal scores share their mean rank.

    An order that breaks ties at random has these ranks in expectation, so an APFD from them is its mean over all
    ways to break ties.
    """
    rows = np.arange(len(scores))[:, None]
    keyed = np.where(real, scores, -np.inf)
    order = np.argsort(-keyed, axis=1, kind="stable")
    ordered = keyed[rows, order]
    place = np.broadcast_to(np.arange(scores.shape[1]), scores.shape)
    begins = np.ones(scores.shape, bool)
    begins[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    ends = np.ones(scores.shape, bool)
    ends[:, :-1] = begins[:, 1:]
    first = np.maximum.accumulate(np.where(begins, place, 0), axis=1)
    last = np.minimum.accumulate(np.where(ends, place, scores.shape[1])[:, ::-1], axis=1)[:, ::-1]
    ranks = np.empty(scores.shape)
    ranks[rows, order] = (first + last) / 2 + 1
    return ranks


def running_order(scores: np.ndarray, ties: np.ndarray, real: np.ndarray) -> np.ndarray:
    """The order in which cases run, `[K, L]` places, the highest score first; of equal scores, the lowest tie."""
    return np.lexsort((ties, np.where(real, -scores, np.inf)), axis=1)


def ran_within(order: np.ndarray, duration_ms: np.ndarray, budget_ms: np.ndarray, real: np.ndarray) -> np.ndarray:
    """Which cases end before the time is spent, bool `[K, L]`, from durations `[K, L]` and budgets `[K]`.

    A case that is still running then counts as not run, and nothing runs after it.
    """
    rows = np.arange(len(order))[:, None]
    ordered = real[rows, order]
    ends = np.cumsum(np.where(ordered, duration_ms[rows, order], 0.0), axis=1)
    ran = np.zeros(order.shape, bool)
    # a budget that is the sum of the same durations, added in another order, must let all of them run
    ran[rows, order] = ordered & (ends <= budget_ms[:, None] * (1 + 1e-9))
    return ran


def apfd(ranks: np.ndarray, failed: np.ndarray, real: np.ndarray) -> np.ndarray:
    """Average percentage of faults detected, `[K]`: 1 - Σ rank / (n m) + 1 / (2n) over the m failing of n cases.

    Rothermel et al., *Prioritizing test cases for regression testing*, TSE 2001, each failing case a fault. NaN in
    a cycle without failures, where every order is as good.
    """
    cases, failures = real.sum(axis=1), (failed & real).sum(axis=1)
    summed = np.where(failed & real, ranks, 0.0).sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(failures > 0, 1 - summed / (cases * failures) + 0.5 / cases, np.nan)


def napfd(ranks: np.ndarray, failed: np.ndarray, ran: np.ndarray, real: np.ndarray) -> np.ndarray:
    """APFD under a budget, `[K]`: p - Σ rank / (n m) + p / (2n), summed over failures that ran, p their share.

    Qu et al., *Combinatorial interaction regression testing*, ICSM 2007. Equal to `apfd` where everything ran.
    """
    cases, failures = real.sum(axis=1), (failed & real).sum(axis=1)
    found = failed & ran & real
    summed = np.where(found, ranks, 0.0).sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = found.sum(axis=1) / failures
        return np.where(failures > 0, share - summed / (cases * failures) + share / (2 * cases), np.nan)


def apfdc(order: np.ndarray, failed: np.ndarray, duration_ms: np.ndarray, real: np.ndarray) -> np.ndarray:
    """APFD by time instead of by cases, `[K]`: the mean share of the time that is left when a failure is half run.

    Elbaum et al., *Incorporating varying test costs and fault severities*, ICSE 2001, severities 1. NaN in a cycle
    without failures, or that takes no time.
    """
    rows = np.arange(len(order))[:, None]
    time = np.where(real[rows, order], duration_ms[rows, order], 0.0)
    late = np.cumsum(time, axis=1) - time / 2
    hit = (failed & real)[rows, order]
    full, failures = time.sum(axis=1), hit.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = 1 - np.where(hit, late, 0.0).sum(axis=1) / (full * failures)
    return np.where((failures > 0) & (full > 0), share, np.nan)


def passing_behind(order: np.ndarray, failed: np.ndarray, ran: np.ndarray, real: np.ndarray) -> np.ndarray:
    """The mean over failures of the share of passing cases that run after each, `[K]`; 0 for one that did not run.

    The time-ranked reward of RETECS (Spieker et al., ISSTA 2017, eq. 5), scaled to lie between 0 and 1.
    """
    rows = np.arange(len(order))[:, None]
    hit, passing = (failed & ran & real)[rows, order], (~failed & real)[rows, order]
    failures, total = (failed & real).sum(axis=1), passing.sum(axis=1)
    before = np.where(hit, np.cumsum(passing, axis=1), 0).sum(axis=1)  # summed over failures: passing cases ahead
    worth = hit.sum(axis=1) - before / np.maximum(total, 1)
    return np.where(failures > 0, worth / np.maximum(failures, 1), 0.0)
