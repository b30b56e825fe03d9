"""Baselines: classifiers fitted on the training part, the Bayes-optimal decision, and blocking everything.

A classifier has an operating point: a threshold on its P(threat), or the action of least expected cost.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from rl_eval.domains.threat import synthetic
from rl_eval.domains.threat.config import ALLOW, BLOCK, Config
from rl_eval.domains.threat.data import cache_key, load_dataset, threat_share
from rl_eval.errors import InputError, nearest
from rl_eval.extras import imports_of_extra
from rl_eval.formatting import brief

_STATE = 0  # the random state of every fit, so that a baseline is the same policy in every run


class _Fitted:
    """A fitted classifier.

    Args:
        columns: how many of an observation it reads, the first ones.
    """

    def __init__(self, model: Any, columns: int):
        self._model, self._columns = model, columns

    def threat_probability(self, obs: np.ndarray) -> np.ndarray:
        """P(threat) of each flow, `[N]`."""
        # The count of open alerts, if there is one, is the last column.
        return self._model.predict_proba(obs[:, : self._columns])[:, 1]


class Classifier(_Fitted):
    """Blocks a flow if a fitted classifier gives P(threat) above `threshold`."""

    def __init__(self, model: Any, columns: int, *, threshold: float = 0.5):
        super().__init__(model, columns)
        self.threshold = threshold
        self._rng = np.random.default_rng(_STATE)

    def probabilities(self, obs: np.ndarray) -> np.ndarray:
        """Action probabilities `[N, 4]`: block with P(threat), else allow."""
        threat = self.threat_probability(obs)
        return np.stack([1.0 - threat, threat, np.zeros_like(threat), np.zeros_like(threat)], axis=1)

    def act(self, obs: np.ndarray, greedy: bool) -> np.ndarray:
        """Block above the threshold, else allow; if not greedy, a draw from `probabilities`."""
        threat = self.threat_probability(obs)
        bar = self.threshold if greedy else self._rng.random(len(obs))
        return np.where(threat > bar, BLOCK, ALLOW)


class LeastCost(_Fitted):
    """Takes the action of least expected cost under `costs` `[2, A]` and the P(threat) of a fitted classifier."""

    def __init__(self, model: Any, columns: int, costs: np.ndarray):
        super().__init__(model, columns)
        self._costs = costs

    def act(self, obs: np.ndarray, greedy: bool) -> np.ndarray:
        """The action of least expected cost, `[N]`."""
        return least_cost_action(self.threat_probability(obs), self._costs)


class Bayes:
    """Takes the action of least expected cost under the true posterior; no policy costs less on average."""

    def __init__(self, config: Config):
        if config.data != "synthetic":
            raise InputError(
                f"baseline:bayes needs env.data=synthetic, whose distribution is known; env.data={config.data}"
            )
        self._preprocessing = load_dataset(config).preprocessing
        self._share, self._mix, self._costs = threat_share(config), config.mix, np.asarray(config.costs)

    def threat_probability(self, obs: np.ndarray) -> np.ndarray:
        """P(threat) of each flow, only from its observation, `[N]`."""
        preprocessing = self._preprocessing
        numeric, codes = preprocessing.invert(obs[:, : preprocessing.width])
        levels = [field.levels for field in preprocessing.categorical]
        return synthetic.posterior(numeric, codes, self._share, levels, self._mix)

    def act(self, obs: np.ndarray, greedy: bool) -> np.ndarray:
        """The action of least expected cost, `[N]`."""
        return least_cost_action(self.threat_probability(obs), self._costs)


def least_cost_action(threat: np.ndarray, costs: np.ndarray) -> np.ndarray:
    """The action of least expected cost, `[N]`, from P(threat) `[N]` and costs `[2, A]`."""
    threat = np.asarray(threat, np.float64)[:, None]
    return ((1.0 - threat) * costs[0] + threat * costs[1]).argmin(axis=1)


class BlockAll:
    """Blocks every flow, as a lower bound for F1."""

    def act(self, obs: np.ndarray, greedy: bool) -> np.ndarray:
        """Block, `[N]`."""
        return np.full(len(obs), BLOCK)


def _logistic_regression() -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(max_iter=1000, random_state=_STATE)


def _random_forest() -> Any:
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier(n_estimators=100, random_state=_STATE, n_jobs=2)


def _hist_gradient_boosting() -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(random_state=_STATE)


_ESTIMATORS: dict[str, Callable[[], Any]] = {
    "logistic_regression": _logistic_regression,
    "random_forest": _random_forest,
    "hist_gradient_boosting": _hist_gradient_boosting,
}


@lru_cache(maxsize=8)
def _fitted(name: str, config_json: str, stamps: tuple) -> tuple[Any, int]:
    with imports_of_extra("threat", f"baseline:{name}"):
        from threadpoolctl import threadpool_limits

        estimator = _ESTIMATORS[name]()
    train = load_dataset(Config.model_validate_json(config_json)).parts["train"]
    with threadpool_limits(1, user_api="blas"):  # more threads sum in another order and change the result
        return estimator.fit(train.features, train.label), train.features.shape[1]


def _classifier(name: str) -> Callable[[Config], Classifier]:
    return lambda config: Classifier(*_fitted(name, *cache_key(config)))


def classifier_at(name: str, point: str, config: Config) -> Classifier | LeastCost:
    """A classifier at an operating point.

    Args:
        point: `cost`, or a threshold between 0 and 1 that P(threat) must exceed.

    Raises:
        InputError: no such classifier, or no such point.
    """
    spec = f"baseline:{brief(f'{name}@{point}', 80)}"
    if name not in _ESTIMATORS:
        raise InputError(
            f"{spec} is not a baseline of threat: {nearest(name, _ESTIMATORS)}"
            f"only {', '.join(_ESTIMATORS)} have an operating point"
        )
    if point == "cost":
        return LeastCost(*_fitted(name, *cache_key(config)), np.asarray(config.costs))
    try:
        threshold = float(point)
    except ValueError:
        threshold = -1.0
    if not 0.0 < threshold < 1.0:
        raise InputError(
            f"{spec} has no operating point: after @ give cost, or a threshold between 0 and 1, such as .25"
        )
    return Classifier(*_fitted(name, *cache_key(config)), threshold=threshold)


BASELINES: dict[str, Callable[[Config], Any]] = {
    **{name: _classifier(name) for name in _ESTIMATORS},
    "bayes": Bayes,
    "block_all": lambda config: BlockAll(),
}


def bayes_report(config: Config) -> dict[str, float]:
    """Metrics of the best possible policy on the test part of the embedded data.

    Returns:
        `f1`, `recall`, `false_positive_rate`, `cost` (mean per flow) of the actions of least expected cost;
        `break_even`, the P(threat) above which flagging costs less than allowing; `best_f1` over all
        thresholds, at `best_threshold`.

    Raises:
        InputError: data whose distribution is unknown.
    """
    if config.data != "synthetic":
        raise InputError(f"the Bayes-optimal figures need env.data=synthetic; env.data={config.data}")
    test, costs = load_dataset(config).parts["test"], np.asarray(config.costs)
    assert test.posterior is not None  # the embedded data always has a posterior
    action = least_cost_action(test.posterior, costs)
    flagged, threat = np.isin(action, config.flag_actions), test.label == 1
    hits = float((flagged & threat).sum())
    descending = np.argsort(-test.posterior, kind="stable")
    true_positives = np.cumsum(threat[descending])
    f1 = 2.0 * true_positives / (np.arange(1, len(test) + 1) + threat.sum())
    best = int(f1.argmax())
    grid = np.linspace(0.0, 1.0, 10_001)
    flags = np.isin(least_cost_action(grid, costs), config.flag_actions)
    return {
        "f1": 2.0 * hits / float(flagged.sum() + threat.sum()),
        "recall": hits / float(threat.sum()),
        "false_positive_rate": float((flagged & ~threat).sum() / (~threat).sum()),
        "cost": float(costs[test.label, action].mean()),
        "break_even": float(grid[flags.argmax()]) if flags.any() else 1.0,
        "best_f1": float(f1[best]),
        "best_threshold": float(test.posterior[descending[best]]),
    }
