"""Baseline orders: random, as listed, by earlier failures, by logistic regression, and the best possible one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import numpy as np

from rl_eval.domains.qase.config import LEVELS, Config
from rl_eval.domains.qase.environment.dataset import cache_key, load_dataset
from rl_eval.domains.qase.environment.features import FEATURES
from rl_eval.extras import imports_of_extra

Score = Callable[[np.ndarray, Mapping[str, np.ndarray]], np.ndarray]


class ScoredOrder:
    """A policy that scores each case; the highest score runs first.

    Args:
        score: maps observations `[N, 64]` and `QaseVector.candidates()` to scores `[N]`.
    """

    def __init__(self, score: Score):
        self._score = score

    def rank(self, obs: np.ndarray, candidates: Mapping[str, np.ndarray]) -> np.ndarray:
        """The scores, `[N]`."""
        return self._score(obs, candidates)

    def act(self, obs: np.ndarray, greedy: bool) -> np.ndarray:
        """The middle level, `[N]`; the scores decide the order."""
        return np.full(len(obs), LEVELS // 2)


def _column(name: str) -> Score:
    column = FEATURES.index(name)
    return lambda obs, candidates: obs[:, column]


def _random() -> Score:
    rng = np.random.default_rng(0)
    return lambda obs, candidates: rng.random(len(obs))


class LogisticScore:
    """Scores from a logistic regression on the training executions, for comparison with supervised learning."""

    def __init__(self, coefficients: np.ndarray):
        self._coefficients = coefficients

    def __call__(self, obs: np.ndarray, candidates: Mapping[str, np.ndarray]) -> np.ndarray:
        """The log-odds of failing, up to a constant, `[N]`."""
        return obs @ self._coefficients


@lru_cache(maxsize=4)
def _coefficients(source: str, stamps: tuple) -> np.ndarray:
    with imports_of_extra("qase", "baseline:logistic_regression"):
        from sklearn.linear_model import LogisticRegression
        from threadpoolctl import threadpool_limits

    train = load_dataset(Config.model_validate_json(source)).parts["train"]
    with threadpool_limits(1, user_api="blas"):
        fitted = LogisticRegression(C=0.01, max_iter=2000).fit(train.features, train.verdict)
    return fitted.coef_[0].astype(np.float32)


def _logistic(config: Config) -> ScoredOrder:
    return ScoredOrder(LogisticScore(_coefficients(*cache_key(config))))


BASELINES: dict[str, Callable[[Config], Any]] = {
    "random": lambda config: ScoredOrder(_random()),
    "as_listed": lambda config: ScoredOrder(lambda obs, candidates: -candidates["position"].astype(np.float32)),
    "failure_rate": lambda config: ScoredOrder(_column("failure_rate")),
    "last_failed_first": lambda config: ScoredOrder(_column("failed_lately")),
    "logistic_regression": _logistic,
    "optimal": lambda config: ScoredOrder(lambda obs, candidates: candidates["verdict"].astype(np.float32)),
}
