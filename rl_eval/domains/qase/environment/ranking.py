"""Measures of an order of test cases: ranks, APFD, NAPFD, APFDc, and what runs within a time budget.

All work on K cycles, each padded to L cases; `real` `[K, L]` marks the cases that are not padding. Ranks start at 1.
"""

from __future__ import annotations

import numpy as np


def mid_ranks(scores: np.ndarray, real: np.ndarray) -> np.ndarray:
    """The rank of each case if the highest score runs first, `[K, L]`; equal scores share their mean rank.

    These are the expected ranks when ties are broken at random, so APFD from them is the mean over all ways to break
    ties.
    """
    rows = np.arange(len(scores))[:, None]
    keyed = np.where(real, scores, -np.inf)
    order = np.argsort(-keyed, axis=1, kind="stable")
    sorted_scores = keyed[rows, order]
    position = np.broadcast_to(np.arange(scores.shape[1]), scores.shape)
    begins = np.ones(scores.shape, bool)
    begins[:, 1:] = sorted_scores[:, 1:] != sorted_scores[:, :-1]
    ends = np.ones(scores.shape, bool)
    ends[:, :-1] = begins[:, 1:]
    first = np.maximum.accumulate(np.where(begins, position, 0), axis=1)
    last = np.minimum.accumulate(np.where(ends, position, scores.shape[1])[:, ::-1], axis=1)[:, ::-1]
    ranks = np.empty(scores.shape)
    ranks[rows, order] = (first + last) / 2 + 1
    return ranks


def running_order(scores: np.ndarray, ties: np.ndarray, real: np.ndarray) -> np.ndarray:
    """The order of cases, `[K, L]` indices: highest score first; among equal scores, lowest tie first."""
    return np.lexsort((ties, np.where(real, -scores, np.inf)), axis=1)


def ran_within(order: np.ndarray, duration_ms: np.ndarray, budget_ms: np.ndarray, real: np.ndarray) -> np.ndarray:
    """Which cases end within the budget, bool `[K, L]`, from durations `[K, L]` and budgets `[K]`.

    A case that would end later counts as not run, and no case runs after it.
    """
    rows = np.arange(len(order))[:, None]
    is_case = real[rows, order]
    ends = np.cumsum(np.where(is_case, duration_ms[rows, order], 0.0), axis=1)
    ran = np.zeros(order.shape, bool)
    # a budget equal to the sum of all durations, added in another order, must let all cases run
    ran[rows, order] = is_case & (ends <= budget_ms[:, None] * (1 + 1e-9))
    return ran


def apfd(ranks: np.ndarray, failed: np.ndarray, real: np.ndarray) -> np.ndarray:
    """Average percentage of faults detected, `[K]`: 1 - Σ rank / (n m) + 1 / (2n) over the m failing of n cases.

    Rothermel et al., *Prioritizing test cases for regression testing*, TSE 2001, each failing case a fault. NaN in
    a cycle without failures, where all orders are equally good.
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
    detected = failed & ran & real
    summed = np.where(detected, ranks, 0.0).sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = detected.sum(axis=1) / failures
        return np.where(failures > 0, share - summed / (cases * failures) + share / (2 * cases), np.nan)


def apfdc(order: np.ndarray, failed: np.ndarray, duration_ms: np.ndarray, real: np.ndarray) -> np.ndarray:
    """APFD by time instead of by cases, `[K]`: mean share of the time left when a failing case is half done.

    Elbaum et al., *Incorporating varying test costs and fault severities*, ICSE 2001, severities 1. NaN in a cycle
    without failures, or that takes no time.
    """
    rows = np.arange(len(order))[:, None]
    time = np.where(real[rows, order], duration_ms[rows, order], 0.0)
    half_run_at = np.cumsum(time, axis=1) - time / 2
    failure = (failed & real)[rows, order]
    full, failures = time.sum(axis=1), failure.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = 1 - np.where(failure, half_run_at, 0.0).sum(axis=1) / (full * failures)
    return np.where((failures > 0) & (full > 0), share, np.nan)


def passing_behind(order: np.ndarray, failed: np.ndarray, ran: np.ndarray, real: np.ndarray) -> np.ndarray:
    """Mean over failures of the share of passing cases that run later, `[K]`; 0 for a failure that did not run.

    The time-ranked reward of RETECS (Spieker et al., ISSTA 2017, eq. 5), scaled to the range from 0 to 1.
    """
    rows = np.arange(len(order))[:, None]
    failure, passing = (failed & ran & real)[rows, order], (~failed & real)[rows, order]
    failures, total = (failed & real).sum(axis=1), passing.sum(axis=1)
    before = np.where(failure, np.cumsum(passing, axis=1), 0).sum(axis=1)  # summed over failures: passing cases ahead
    worth = failure.sum(axis=1) - before / np.maximum(total, 1)
    return np.where(failures > 0, worth / np.maximum(failures, 1), 0.0)
