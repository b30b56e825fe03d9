"""`RewardModel`: scores of prompts by ridge regression on their features, fitted and cross-validated by task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from rl_eval.domains.prompt.reward_model.correlation import RankCorrelation, over_tasks, spearman
from rl_eval.domains.prompt.reward_model.ridge import Penalty, TaskSums
from rl_eval.errors import InputError


@dataclass(frozen=True)
class RewardModel:
    """Predicted scores in nats, up to a constant of each start: differences between its prompts count.

    Attributes:
        mean, deviation: `[F]` of the features in training, which they are standardised by.
        moved: columns whose products with all columns are terms; see `fit_reward_model`.
        coefficients: `[P]` of the terms that `_terms` makes of F features.
        penalty: of the ridge regression.
        correlation: with the language model's scores, on tasks that a fit did not see.
    """

    mean: np.ndarray = field(repr=False)
    deviation: np.ndarray = field(repr=False)
    moved: tuple[int, ...] = field(repr=False)
    coefficients: np.ndarray = field(repr=False)
    penalty: Penalty
    correlation: RankCorrelation

    def score(self, features: np.ndarray) -> np.ndarray:
        """Predicted scores `[…]` of prompts with features `[…, F]`, float32."""
        rows = features.reshape(-1, features.shape[-1])
        predicted = _terms((rows - self.mean) / self.deviation, self.moved) @ self.coefficients
        return predicted.reshape(features.shape[:-1]).astype(np.float32)

    def to_json(self) -> Mapping[str, Any]:
        """What a run records of it."""
        return {
            "penalty": asdict(self.penalty),
            "terms": len(self.coefficients),
            "rank_correlation": asdict(self.correlation),
        }


def fit_reward_model(
    features: np.ndarray, scores: np.ndarray, task: np.ndarray, start: np.ndarray, moved: Sequence[int]
) -> RewardModel:
    """Fit to the scored prompts of some tasks.

    The rank correlation comes from predictions for each task by a fit to the other tasks, which also chose the penalty.

    Args:
        features: `[R, F]`.
        scores: `[R]` by the language model, in nats.
        task: int `[R]` from 0, none without a prompt.
        start: int `[R]`, the start prompt that each was made of.
        moved: columns of features that mutations change. What they are worth may depend on every feature.

    Raises:
        InputError: fewer than three tasks, or prompts that all score the same.
    """
    tasks = int(task.max()) + 1 if len(task) else 0
    if tasks < 3:
        raise InputError(
            f"a reward model is cross-validated over the training tasks, of which there are {tasks}: give at least 3"
        )
    mean, deviation = features.mean(axis=0), features.std(axis=0)
    deviation = np.where(deviation > 1e-9, deviation, 1.0)
    terms = _terms((features - mean) / deviation, tuple(moved))
    sums = TaskSums.of(terms, scores, task, start, np.arange(terms.shape[1]) >= features.shape[1])
    correlations = []
    for k in range(tasks):
        others = [g for g in range(tasks) if g != k]
        coefficients = sums.coefficients(others, sums.best_penalty(others))
        correlations.append(spearman(terms[task == k] @ coefficients, scores[task == k]))
    penalty = sums.best_penalty(range(tasks))
    coefficients = sums.coefficients(range(tasks), penalty)
    return RewardModel(mean, deviation, tuple(moved), coefficients, penalty, over_tasks(correlations))


def _terms(standardised: np.ndarray, moved: tuple[int, ...]) -> np.ndarray:
    """The features `[R, F]`, and the product of each moved one with each feature, no pair twice, `[R, P]`."""
    pairs = {tuple(sorted((first, second))) for first in moved for second in range(standardised.shape[1])}
    first, second = np.array(sorted(pairs), np.int64).reshape(-1, 2).T
    return np.concatenate([standardised, standardised[:, first] * standardised[:, second]], axis=1)
