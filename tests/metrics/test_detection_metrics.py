"""Detection metrics against a hand-worked table and against scikit-learn."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sk

from rl_eval.metrics import MetricUndefined, compute, confusion
from tests.metrics.episodes_of import from_cases

# 10 cases by hand: TP 3, FN 1, FP 2, TN 4.
LABEL = [1, 1, 1, 1, 0, 0, 0, 0, 0, 0]
FLAGGED = [1, 1, 1, 0, 1, 1, 0, 0, 0, 0]
BY_HAND = {
    "precision": 3 / 5,
    "recall": 3 / 4,
    "f1": 6 / 9,
    "false_positive_rate": 2 / 6,
    "accuracy": 7 / 10,
    "mcc": (3 * 4 - 2 * 1) / (5 * 4 * 6 * 5) ** 0.5,
}
UNDEFINED = [
    # label, flagged, the metrics without a value
    ([0, 0], [0, 0], {"f1", "recall", "precision", "mcc"}),
    ([0, 0], [0, 1], {"f1", "recall", "mcc"}),
    ([1, 1], [0, 1], {"false_positive_rate", "mcc"}),
    ([0, 1], [0, 0], {"precision", "mcc"}),
    ([0, 1], [1, 1], {"mcc"}),
    ([], [], set(BY_HAND)),
]


@pytest.mark.parametrize("name", BY_HAND)
def test_equals_the_hand_worked_table(name):
    assert compute(name, from_cases(label=LABEL, flagged=FLAGGED), None) == pytest.approx(BY_HAND[name])


@pytest.mark.parametrize(("label", "flagged", "without"), UNDEFINED)
@pytest.mark.parametrize("name", BY_HAND)
def test_undefined_is_an_error_and_never_a_number(name, label, flagged, without):
    episodes = from_cases(label=label, flagged=flagged)
    if name in without:
        with pytest.raises(MetricUndefined):
            compute(name, episodes, None)
    else:
        assert np.isfinite(compute(name, episodes, None))


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1)), min_size=1, max_size=60))
def test_agrees_with_scikit_learn(cases):
    label, flagged = (np.array(column) for column in zip(*cases, strict=True))
    episodes = from_cases(label=label, flagged=flagged)
    tn, fp, fn, tp = sk.confusion_matrix(label, flagged, labels=[0, 1]).ravel()
    table = confusion(episodes)
    assert (table.tp, table.fp, table.fn, table.tn) == (tp, fp, fn, tn)
    scikit_learn = {
        "precision": lambda: sk.precision_score(label, flagged),
        "recall": lambda: sk.recall_score(label, flagged),
        "f1": lambda: sk.f1_score(label, flagged),
        "false_positive_rate": lambda: 1 - sk.recall_score(1 - label, 1 - flagged),
        "accuracy": lambda: sk.accuracy_score(label, flagged),
        "mcc": lambda: sk.matthews_corrcoef(label, flagged),
    }
    for name, score in scikit_learn.items():
        try:
            value = compute(name, episodes, None)
        except MetricUndefined:
            continue
        assert value == pytest.approx(score(), abs=1e-12), name


def test_booleans_count_as_zero_and_one():
    episodes = from_cases(label=np.array(LABEL, bool), flagged=np.array(FLAGGED, bool))
    assert compute("f1", episodes, None) == pytest.approx(BY_HAND["f1"])


@pytest.mark.parametrize("broken", [np.nan, 2, -1])
def test_a_label_that_is_neither_yes_nor_no_is_an_error(broken):
    with pytest.raises(MetricUndefined, match="'label' has values other than 0 and 1"):
        compute("f1", from_cases(label=[1, 0, broken], flagged=[1, 0, 1]), None)


def test_mean_cost_and_action_shares():
    episodes = from_cases(cost=[0.0, 1.5, 0.5, 2.0], action=[0, 3, 3, 1])
    assert compute("mean_cost", episodes, None) == 1.0
    assert [compute(f"action_share.{a}", episodes, None) for a in range(4)] == [0.25, 0.25, 0.0, 0.5]
    with pytest.raises(MetricUndefined, match="not finite"):
        compute("mean_cost", from_cases(cost=[0.0, np.inf]), None)


def test_decision_accuracy_by_hand():
    """Costs of allow, block, quarantine, alert: nothing costs less than allowing benign flows, or blocking threats."""
    config = SimpleNamespace(costs=((0.0, 1.4, 0.8, 0.5), (2.0, 0.1, 0.1, 0.5)))
    label = [0, 0, 0, 1, 1, 1, 1, 0]
    cost = np.array([0.0, 1.4, 0.5, 2.0, 0.1, 0.1, 0.5, 0.0], np.float32)  # allow, block, alert, allow, block, …
    assert compute("decision_accuracy", from_cases(label=label, cost=cost), config) == 4 / 8
