"""Ridge regression on differences inside tasks, and the choice of its penalties by leaving tasks out.

Only differences between the prompts of one task are learned, since how hard a task is says nothing about its prompts.
All sums that a fit needs are kept by task, so a fit without some tasks costs one linear system.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import product

import numpy as np

# In units of the number of rows: of all terms, and how many times as much products of features are penalised. Products
# generalise to other tasks only where there are many tasks; the last ratio leaves them out.
PENALTIES = (0.003, 0.03, 0.3, 3.0)
RATIOS = (1.0, 10.0, 1e9)


@dataclass(frozen=True)
class Penalty:
    """Penalties of a ridge regression, in units of the number of rows.

    Attributes:
        features: of the coefficients of features.
        ratio: how many times as much that of products is.
    """

    features: float
    ratio: float


@dataclass(frozen=True)
class TaskSums:
    """What a ridge regression needs of K tasks.

    Attributes:
        gram: `[K, P, P]` XᵀX of each task, its columns centred.
        moment: `[K, P]` Xᵀy of each, both centred.
        square: `[K]` yᵀy of each, centred.
        rows: `[K]` rows of each.
        products: bool `[P]`, which columns are products of features.
    """

    gram: np.ndarray = field(repr=False)
    moment: np.ndarray = field(repr=False)
    square: np.ndarray = field(repr=False)
    rows: np.ndarray = field(repr=False)
    products: np.ndarray = field(repr=False)

    @classmethod
    def of(cls, x: np.ndarray, y: np.ndarray, task: np.ndarray, products: np.ndarray) -> TaskSums:
        """From terms `[R, P]`, targets `[R]`, and the task of each row, from 0 and none empty."""
        by_task = [(x[task == k], y[task == k]) for k in range(int(task.max()) + 1)]
        parts = [(xs - xs.mean(axis=0), ys - ys.mean()) for xs, ys in by_task]
        return cls(
            np.array([xs.T @ xs for xs, _ in parts]),
            np.array([xs.T @ ys for xs, ys in parts]),
            np.array([ys @ ys for _, ys in parts]),
            np.array([len(ys) for _, ys in parts]),
            products,
        )

    def coefficients(self, tasks: Sequence[int], penalty: Penalty) -> np.ndarray:
        """`[P]` of the fit to some tasks: (XᵀX + D)⁻¹ Xᵀy, D diagonal with the penalty of each term times the rows."""
        chosen = list(tasks)
        gram = self.gram[chosen].sum(axis=0)
        scale = penalty.features * self.rows[chosen].sum()
        gram[np.diag_indices(len(gram))] += scale * np.where(self.products, penalty.ratio, 1.0)
        return np.linalg.solve(gram, self.moment[chosen].sum(axis=0))

    def error(self, task: int, coefficients: np.ndarray) -> float:
        """Sum of squared errors on a task, its level apart."""
        fitted = coefficients @ self.gram[task] @ coefficients
        return float(self.square[task] - 2 * coefficients @ self.moment[task] + fitted)

    def best_penalty(self, tasks: Sequence[int]) -> Penalty:
        """The penalty whose fits predict each left-out task best; the largest where there is one task only."""
        candidates = [Penalty(*pair) for pair in product(PENALTIES, RATIOS)]
        if len(tasks) < 2:
            return candidates[-1]
        errors = np.zeros(len(candidates))
        for k in tasks:
            others = [g for g in tasks if g != k]
            errors += [self.error(k, self.coefficients(others, penalty)) / self.rows[k] for penalty in candidates]
        return candidates[int(errors.argmin())]
