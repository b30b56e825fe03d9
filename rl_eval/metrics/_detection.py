"""Detection metrics: ratios of the confusion table, undefined where a denominator is zero."""

from __future__ import annotations

from functools import partial
from math import sqrt
from typing import TYPE_CHECKING, Any

from rl_eval.metrics._confusion import confusion
from rl_eval.metrics._registry import MetricUndefined, metric

if TYPE_CHECKING:
    from rl_eval.rollout import Episodes

_detection = partial(metric, "task", needs=("label", "flagged"), unit="case")


@_detection(better="higher")
def f1(episodes: Episodes, config: Any) -> float:
    """F1 of flagging the positive cases: 2·TP / (2·TP + FP + FN)."""
    table = confusion(episodes)
    if not table.positives:  # with only FP it would be 0, which says nothing about positives
        raise MetricUndefined("f1 is undefined: none of the cases is positive")
    return 2 * table.tp / (2 * table.tp + table.fp + table.fn)


@_detection(better="higher")
def precision(episodes: Episodes, config: Any) -> float:
    """Share of the flagged cases that are positive: TP / (TP + FP)."""
    table = confusion(episodes)
    if not table.flagged:
        raise MetricUndefined("precision is undefined: the policy flagged none of the cases")
    return table.tp / table.flagged


@_detection(better="higher")
def recall(episodes: Episodes, config: Any) -> float:
    """Share of the positive cases that are flagged: TP / (TP + FN)."""
    table = confusion(episodes)
    if not table.positives:
        raise MetricUndefined("recall is undefined: none of the cases is positive")
    return table.tp / table.positives


@_detection(better="lower")
def false_positive_rate(episodes: Episodes, config: Any) -> float:
    """Share of the negative cases that are flagged: FP / (FP + TN)."""
    table = confusion(episodes)
    if not table.negatives:
        raise MetricUndefined("false_positive_rate is undefined: all of the cases are positive")
    return table.fp / table.negatives


@_detection(better="higher")
def accuracy(episodes: Episodes, config: Any) -> float:
    """Share of the cases decided correctly: (TP + TN) / all."""
    table = confusion(episodes)
    return (table.tp + table.tn) / (table.positives + table.negatives)


@_detection(better="higher")
def mcc(episodes: Episodes, config: Any) -> float:
    """Matthews correlation of label and flag, in [-1, 1]; 0 is chance."""
    table = confusion(episodes)
    unflagged = table.fn + table.tn
    if not (table.positives and table.negatives):
        raise MetricUndefined("mcc is undefined: the cases are all of one class")
    if not (table.flagged and unflagged):  # scikit-learn returns 0 here; a policy that never decides has no correlation
        raise MetricUndefined(f"mcc is undefined: the policy flagged {'all' if table.flagged else 'none'} of the cases")
    # the root of each factor apart: the product of four large counts would lose digits
    scale = sqrt(table.positives) * sqrt(table.negatives) * sqrt(table.flagged) * sqrt(unflagged)
    return (table.tp * table.tn - table.fp * table.fn) / scale
