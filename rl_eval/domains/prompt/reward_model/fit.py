"""`RewardModel`: scores of prompts by ridge regression on their features, fitted and cross-validated by task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import combinations
from typing import Any

import numpy as np

from rl_eval.domains.prompt.reward_model.correlation import RankCorrelation, over_tasks, spearman
from rl_eval.domains.prompt.reward_model.ridge import Penalty, TaskSums
from rl_eval.errors import InputError


@dataclass(frozen=True)
class RewardModel:
    """Predicted scores in nats, up to a constant of each task: differences between its prompts count.

    Attributes:
        used, moved: columns of features; see `fit_reward_model`.
        mean, deviation: of the used features in training, which they are standardised by.
        coefficients: `[P]` of the terms that `_terms` makes of them.
        penalty: of the ridge regression.
        correlation: with the language model's scores, on tasks that a fit did not see.
    """

    used: tuple[int, ...] = field(repr=False)
    moved: tuple[int, ...] = field(repr=False)
    mean: np.ndarray = field(repr=False)
    deviation: np.ndarray = field(repr=False)
    coefficients: np.ndarray = field(repr=False)
    penalty: Penalty
    correlation: RankCorrelation

    def score(self, features: np.ndarray) -> np.ndarray:
        """Predicted scores `[…]` of prompts with features `[…, F]`, float32."""
        rows = features.reshape(-1, features.shape[-1])[:, self.used]
        predicted = _terms((rows - self.mean) / self.deviation, self._moved_columns()) @ self.coefficients
        return predicted.reshape(features.shape[:-1]).astype(np.float32)

    def _moved_columns(self) -> list[int]:
        return [self.used.index(column) for column in self.moved]

    def to_json(self) -> Mapping[str, Any]:
        """What a run records of it."""
        return {
            "penalty": asdict(self.penalty),
            "terms": len(self.coefficients),
            "rank_correlation": asdict(self.correlation),
        }


def fit_reward_model(
    features: np.ndarray, scores: np.ndarray, task: np.ndarray, used: Sequence[int], moved: Sequence[int]
) -> RewardModel:
    """Fit to the scored prompts of some tasks.

    The rank correlation comes from predictions for each task by a fit to the other tasks, which also chose the penalty.

    Args:
        features: `[R, F]`.
        scores: `[R]` by the language model, in nats.
        task: int `[R]` from 0, none without a prompt.
        used: columns of features to predict by. With few tasks, fewer features predict other tasks better.
        moved: those among them that mutations change, whose products in pairs are terms too: what a mutation is
            worth may depend on the others.

    Raises:
        InputError: fewer than three tasks, or prompts that all score the same.
    """
    tasks = int(task.max()) + 1 if len(task) else 0
    if tasks < 3:
        raise InputError(
            f"there are {tasks} training tasks, and a reward model is cross-validated over at least 3: give more tasks"
        )
    used = tuple(used)
    rows = features[:, used]
    mean, deviation = rows.mean(axis=0), rows.std(axis=0)
    deviation = np.where(deviation > 1e-9, deviation, 1.0)
    terms = _terms((rows - mean) / deviation, [used.index(column) for column in moved])
    sums = TaskSums.of(terms, scores, task, np.arange(terms.shape[1]) >= len(used))
    correlations = []
    for k in range(tasks):
        others = [g for g in range(tasks) if g != k]
        coefficients = sums.coefficients(others, sums.best_penalty(others))
        correlations.append(spearman(terms[task == k] @ coefficients, scores[task == k]))
    penalty = sums.best_penalty(range(tasks))
    coefficients = sums.coefficients(range(tasks), penalty)
    return RewardModel(used, tuple(moved), mean, deviation, coefficients, penalty, over_tasks(correlations))


def _terms(standardised: np.ndarray, moved: Sequence[int]) -> np.ndarray:
    """The features `[R, F]`, and the products of moved ones in pairs, `[R, P]`."""
    products = [standardised[:, [first]] * standardised[:, [second]] for first, second in combinations(moved, 2)]
    return np.concatenate([standardised, *products], axis=1)
