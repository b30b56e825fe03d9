"""Ridge regression with a level of its own for each group, and the choice of its penalty by leaving groups out.

Only differences inside a group are learned, since how hard a task is says nothing about its prompts. All sums that a
fit needs are kept by group, so a fit without some groups costs one linear system.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

PENALTIES = (1e-3, 1e-2, 1e-1, 1.0, 10.0)  # in units of the number of rows


@dataclass(frozen=True)
class GroupSums:
    """What a ridge regression needs of K groups.

    Attributes:
        gram: `[K, P, P]` XᵀX of each group, its columns centred.
        moment: `[K, P]` Xᵀy of each, both centred.
        square: `[K]` yᵀy of each, centred.
        rows: `[K]` rows of each.
    """

    gram: np.ndarray = field(repr=False)
    moment: np.ndarray = field(repr=False)
    square: np.ndarray = field(repr=False)
    rows: np.ndarray = field(repr=False)

    @classmethod
    def of(cls, x: np.ndarray, y: np.ndarray, group: np.ndarray) -> GroupSums:
        """From features `[R, P]`, targets `[R]` and groups `[R]` from 0, none of them empty."""
        parts = [(x[group == k], y[group == k]) for k in range(int(group.max()) + 1)]
        centred = [(xs - xs.mean(axis=0), ys - ys.mean()) for xs, ys in parts]
        return cls(
            np.array([xs.T @ xs for xs, _ in centred]),
            np.array([xs.T @ ys for xs, ys in centred]),
            np.array([ys @ ys for _, ys in centred]),
            np.array([len(ys) for _, ys in centred]),
        )

    def coefficients(self, groups: Sequence[int], penalty: float) -> np.ndarray:
        """`[P]` of the fit to some groups: (XᵀX + penalty · rows · I)⁻¹ Xᵀy."""
        chosen = list(groups)
        gram = self.gram[chosen].sum(axis=0)
        gram[np.diag_indices(len(gram))] += penalty * self.rows[chosen].sum()
        return _solve_positive(gram, self.moment[chosen].sum(axis=0))

    def error(self, group: int, coefficients: np.ndarray) -> float:
        """Sum of squared errors on a group, its level apart."""
        fitted = coefficients @ self.gram[group] @ coefficients
        return float(self.square[group] - 2 * coefficients @ self.moment[group] + fitted)

    def best_penalty(self, groups: Sequence[int]) -> float:
        """The penalty whose fits predict each left-out group best; the largest where one group is alone."""
        if len(groups) < 2:
            return PENALTIES[-1]
        errors = np.zeros(len(PENALTIES))
        for k in groups:
            others = [g for g in groups if g != k]
            errors += [self.error(k, self.coefficients(others, penalty)) / self.rows[k] for penalty in PENALTIES]
        return PENALTIES[int(errors.argmin())]


def _solve_positive(matrix: np.ndarray, right: np.ndarray) -> np.ndarray:
    """The solution of a positive definite system.

    `np.linalg.solve` starts a thread on each core for systems of this size: beside other programs a fit that takes a
    tenth of a second then takes ten.
    """
    lower = np.linalg.cholesky(matrix)
    solution = right.copy()
    for i in range(len(right)):
        solution[i] = (solution[i] - lower[i, :i] @ solution[:i]) / lower[i, i]
    for i in range(len(right))[::-1]:
        solution[i] = (solution[i] - lower[i + 1 :, i] @ solution[i + 1 :]) / lower[i, i]
    return solution
