"""Exact copies of a case are one unit of a source: they say nothing new."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rl_eval.rollout import Episodes


@dataclass(frozen=True)
class CaseCopies:
    """How much each case of a test set counts.

    Attributes:
        case_index: the outcome that numbers the cases.
        weight: `[R]` 0 for all copies of a case except the first; the first has 1, or with `copies: weigh` their
            number.
        distinct: how many cases are distinct.
    """

    case_index: str
    weight: np.ndarray
    distinct: int

    @property
    def largest_weight(self) -> int:
        """The most that one case counts."""
        return int(self.weight.max())

    def weights(self, episodes: Episodes) -> np.ndarray:
        """`[S]` how much each step counts."""
        return self.weight[episodes.outcome[self.case_index]]


def count_copies(
    case_index: str, hashes: np.ndarray, labels: np.ndarray, included: np.ndarray, *, weigh: bool
) -> CaseCopies | None:
    """The copies among the cases that are judged; None if all cases are distinct.

    Args:
        hashes, labels: `[R]` equal where fields and label of two cases are equal.
        included: `[R]` bool, whether a case is judged.
        weigh: whether copies make their case count more.
    """
    rows = np.flatnonzero(included)
    cases = np.column_stack([hashes.astype(np.uint64), labels.astype(np.int64).astype(np.uint64)])[rows]
    _, first, counts = np.unique(cases, axis=0, return_index=True, return_counts=True)
    if len(first) == len(rows):
        return None
    weight = np.zeros(len(hashes))
    weight[rows[first]] = counts if weigh else 1
    return CaseCopies(case_index, weight, len(first))
