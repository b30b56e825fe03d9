"""Numbers about a policy, a training run or a group of runs; every criterion names one of these.

A metric has a name that criteria use. Task metrics read the outcomes of recorded episodes, not the
reward of training; returns are in the environment's own reward.
"""

from rl_eval.metrics._actions import action_share
from rl_eval.metrics._artefacts import artefacts_complete, disagreements, numbers_agree
from rl_eval.metrics._confusion import Confusion, confusion
from rl_eval.metrics._detection import accuracy, f1, false_positive_rate, mcc, precision, recall
from rl_eval.metrics._facts import fact
from rl_eval.metrics._registry import (
    METRICS,
    Metric,
    MetricUndefined,
    compute,
    higher_is_better,
    list_metrics,
    lookup,
    metric,
    register,
)
from rl_eval.metrics._returns import mean_length, mean_return, median_return, min_return, success_rate
from rl_eval.metrics._runs import same_seed_return_std, seed_mean, seed_std, seed_variance
from rl_eval.metrics._training import learning_trend, training, value_loss_ratio

register(
    accuracy, action_share, artefacts_complete, f1, fact, false_positive_rate, learning_trend, mcc, mean_length,
    mean_return, median_return, min_return, numbers_agree, precision, recall, same_seed_return_std, seed_mean, seed_std,
    seed_variance, success_rate, training, value_loss_ratio,
)  # fmt: skip
METRICS.mark_built_in(*METRICS)

__all__ = [
    "METRICS",
    "Confusion",
    "Metric",
    "MetricUndefined",
    "compute",
    "confusion",
    "disagreements",
    "higher_is_better",
    "list_metrics",
    "lookup",
    "metric",
    "register",
]
