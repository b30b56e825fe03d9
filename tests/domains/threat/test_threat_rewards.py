"""Reward terms of threat triage, by hand and against a search over thresholds."""

from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from rl_eval.diagnostics import DiagnosedRun, findings_of
from rl_eval.domains.threat import Config
from rl_eval.domains.threat.rewards import AlertBudget, Costs, Matrix, Severity, break_even, price_difference
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


costs = st.lists(st.lists(st.floats(0, 900).map(lambda x: round(x, 1)), min_size=4, max_size=4), min_size=2, max_size=2)


@given(costs.filter(lambda rows: np.max(rows) > 0))
def test_a_reward_of_the_costs_makes_the_same_decisions_best_in_any_currency(values):
    term = Costs(values)
    assert price_difference({"matrix": (1.0, term)}, values) is None
    assert price_difference({"matrix": (2.0, term)}, np.multiply(values, 0.01)) is None
    assert term.range[0] == pytest.approx(-1.0)
    assert break_even(term.values) == pytest.approx(break_even(-np.array(values)), abs=1e-3)


def test_the_preset_of_costs_follows_them():
    preset = OmegaConf.load(CONF / "threat_costs.yaml")
    for values in ([[0, 100, 40, 10], [500, 0, 20, 60]], [list(row) for row in Config().costs]):
        config = OmegaConf.create({"env": {"costs": values}, "reward": preset})
        terms = OmegaConf.to_container(config, resolve=True)["reward"]["terms"]
        assert terms["matrix"]["values"] == values
        assert isinstance(RewardFunction.from_config(terms).terms["matrix"][1], Costs)


def test_a_reward_of_other_prices_is_named_with_both_break_evens():
    default = {"matrix": (1.0, Matrix(VALUES))}
    assert price_difference(default, Config().costs) is None
    assert "0.25 by the reward, and from 0.022 by the costs" in price_difference(
        default, [[0, 100, 40, 10], [500, 0, 20, 60]]
    )
    assert price_difference({"budget": (1.0, AlertBudget(1, 1.0))}, Config().costs) is None
    with pytest.raises(InputError, match=r"reward\.terms\.m: all costs are 0"):
        RewardFunction.from_config({"m": {"_target_": "rl_eval.domains.threat.rewards.Costs", "values": [[0] * 4] * 2}})


def test_doctor_names_a_reward_of_other_prices():
    term = {"_target_": "rl_eval.domains.threat.rewards.Matrix", "values": VALUES}
    for costs, expected in ((Config().costs, []), ([[0, 9, 9, 9], [9, 0, 0, 0]], ["prices_differ"])):
        config = {"env": {"name": "threat", "costs": costs}, "reward": {"terms": {"matrix": term}}}
        run = DiagnosedRun(Path("run"), {}, config)
        assert [finding.name for finding in findings_of(run, "prices_differ")] == expected


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
