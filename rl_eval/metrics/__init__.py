"""Numbers about a policy, a training run or a group of runs; every criterion names one of these.

A metric is registered by its name. Task metrics read the outcomes of recorded episodes and never a reward.
"""

from rl_eval.metrics._actions import action_share
from rl_eval.metrics._artefacts import artefacts_complete, disagreements, numbers_agree
from rl_eval.metrics._confusion import Confusion, confusion
from rl_eval.metrics._cost import mean_cost
from rl_eval.metrics._detection import accuracy, f1, false_positive_rate, mcc, precision, recall
from rl_eval.metrics._prioritisation import apfd, apfd_unseen, apfdc, bugs_found, failures_found, napfd
from rl_eval.metrics._registry import (
    Metric,
    MetricUndefined,
    compute,
    higher_is_better,
    list_metrics,
    lookup,
    metric,
    task_metrics,
)
from rl_eval.metrics._returns import mean_length, mean_return, median_return, min_return, success_rate
from rl_eval.metrics._runs import same_seed_return_std, seed_mean, seed_std, seed_variance
from rl_eval.metrics._training import learning_trend, training, value_loss_ratio

__all__ = [
    "Confusion",
    "Metric",
    "MetricUndefined",
    "accuracy",
    "action_share",
    "apfd",
    "apfd_unseen",
    "apfdc",
    "artefacts_complete",
    "bugs_found",
    "compute",
    "confusion",
    "disagreements",
    "f1",
    "failures_found",
    "false_positive_rate",
    "higher_is_better",
    "learning_trend",
    "list_metrics",
    "lookup",
    "mcc",
    "mean_cost",
    "mean_length",
    "mean_return",
    "median_return",
    "metric",
    "min_return",
    "napfd",
    "numbers_agree",
    "precision",
    "recall",
    "same_seed_return_std",
    "seed_mean",
    "seed_std",
    "seed_variance",
    "success_rate",
    "task_metrics",
    "training",
    "value_loss_ratio",
]
