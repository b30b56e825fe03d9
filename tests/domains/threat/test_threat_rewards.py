"""Reward terms of threat triage, by hand and against a search over thresholds."""

from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from rl_eval.domains.threat import Config
from rl_eval.domains.threat.rewards import AlertBudget, Matrix, Severity, break_even
from rl_eval.errors import InputError
from rl_eval.rewards import RewardFunction

CONF = Path(__file__).resolve().parents[3] / "conf/reward"
VALUES = [[0.0, -1.4, -0.8, -0.5], [-1.0, 1.0, 0.8, 0.5]]
EIGHT = {"label": np.repeat([0, 1], 4).astype(np.int8), "action": np.tile(np.arange(4), 2).astype(np.int8)}


def from_conf(name):
    return RewardFunction.from_config(yaml.safe_load((CONF / f"{name}.yaml").read_text())["terms"])


def tau(name):
    return break_even(from_conf(name).terms["matrix"][1].values)


def test_the_matrix_is_read_by_class_and_action():
    np.testing.assert_allclose(Matrix(VALUES)(EIGHT), np.ravel(VALUES))
    np.testing.assert_allclose(Matrix(VALUES, rho=0.1)(EIGHT), np.ravel([np.multiply(0.1, VALUES[0]), VALUES[1]]))


@pytest.mark.parametrize("values", [[[1, 2], [3, 4]], [VALUES[0]], [[0, 0, 0, float("nan")], VALUES[1]]])
def test_a_matrix_of_another_shape_is_refused(values):
    with pytest.raises(InputError, match=r"reward\.terms\.m: values must be two rows"):
        RewardFunction.from_config({"m": {"_target_": "rl_eval.domains.threat.rewards.Matrix", "values": values}})


def test_the_presets_break_even_where_they_say():
    assert tau("threat") == pytest.approx(0.25)
    assert tau("threat_symmetric") == pytest.approx(0.5)
    assert tau("threat_imbalance") == pytest.approx(0.109, abs=1e-4)


def test_the_default_reward_and_the_default_cost_rank_decisions_alike():
    """Cost is what the best decision for the class would have saved: reward + cost is constant in each class."""
    total = np.asarray(from_conf("threat").terms["matrix"][1].values) + np.asarray(Config().costs)
    np.testing.assert_allclose(total, np.broadcast_to(total[:, :1], (2, 4)), atol=1e-6)


entry = st.floats(-3, 3, allow_nan=False).map(lambda x: round(x, 2))


@given(st.lists(st.lists(entry, min_size=4, max_size=4), min_size=2, max_size=2))
def test_break_even_is_the_least_probability_at_which_flagging_wins(matrix):
    benign, threat = np.array(matrix)
    grid = np.linspace(0, 1, 2001)[:, None]
    value = (1 - grid) * benign + grid * threat
    wins = value[:, 1:].max(axis=1) > value[:, 0] + 1e-9
    result = break_even(matrix)
    if not wins.any():
        assert result >= 1 - 1e-3 or (benign[1:] == benign[0]).any() or result == 0
    else:
        assert result == pytest.approx(grid[wins.argmax(), 0], abs=1e-3)


def test_two_actions_have_the_textbook_threshold():
    r_tn, r_fp, r_fn, r_tp = 0.3, -0.7, -2.0, 1.0
    matrix = [[r_tn, r_fp, -9, -9], [r_fn, r_tp, -9, -9]]
    assert break_even(matrix) == pytest.approx((r_tn - r_fp) / ((r_tn - r_fp) + (r_tp - r_fn)))


def test_alerts_beyond_the_budget_are_charged():
    outcome = {"action": np.array([3, 3, 1]), "alerts_in_window": np.array([2, 3, 9])}
    assert AlertBudget(k=2, penalty=0.4)(outcome).tolist() == pytest.approx([0.0, -0.4, 0.0])
    with pytest.raises(InputError, match=r"AlertBudget needs env\.alert_window"):
        AlertBudget(k=2, penalty=0.4)({"action": np.zeros(1)})


def test_missed_threats_are_charged_by_their_category():
    outcome = {
        "label": np.array([1, 1, 1, 0]), "action": np.array([0, 1, 0, 0]), "category": np.array([1, 1, 2, 0]),
    }  # fmt: skip
    term = Severity({"worm": 2.0}, ["normal", "worm", "scan"], default=0.5)
    assert term(outcome).tolist() == [-2.0, 0.0, -0.5, 0.0]
    with pytest.raises(ValueError, match="weights names 'wurm'"):
        Severity({"wurm": 1.0}, ["normal", "worm"])
