"""Metrics of returns and of their spread over runs."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rl_eval.metrics import MetricUndefined, compute, lookup
from tests.metrics.episodes_of import from_rewards

# returns 3, -1, 10, 4
REWARDS = [[1, 2], [-1], [5, 5, 0], [4]]
ENV = SimpleNamespace(success_return=3.0)


@pytest.mark.parametrize(
    ("name", "by_hand"),
    [("mean_return", 4.0), ("median_return", 3.5), ("min_return", -1.0), ("success_rate", 0.75), ("mean_length", 1.75)],
)
def test_equals_the_hand_worked_table(name, by_hand):
    assert compute(name, from_rewards(REWARDS), ENV) == by_hand


@given(st.lists(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=5), min_size=1, max_size=20))
def test_equal_numpy_on_the_sums_of_rewards(rewards):
    returns = np.array([np.sum(row) for row in rewards])
    episodes = from_rewards(rewards)
    for name, of in (("mean_return", np.mean), ("median_return", np.median), ("min_return", np.min)):
        assert compute(name, episodes, ENV) == pytest.approx(of(returns), rel=1e-9, abs=1e-6)


@pytest.mark.parametrize("name", ["mean_return", "median_return", "min_return", "success_rate", "mean_length"])
def test_no_episode_is_an_error(name):
    with pytest.raises(MetricUndefined, match="no episode was played"):
        compute(name, from_rewards([]), ENV)


@pytest.mark.parametrize("broken", [np.nan, np.inf])
def test_a_return_that_is_not_finite_is_an_error_that_names_the_episode(broken):
    with pytest.raises(MetricUndefined, match=r"1 of 3 episodes .* seed 1"):
        compute("mean_return", from_rewards([[1], [2, broken], [3]]), ENV)


def test_success_needs_a_definition():
    with pytest.raises(MetricUndefined, match=r"env\.success_return"):
        compute("success_rate", from_rewards(REWARDS), SimpleNamespace(success_return=None))


def test_spread_over_runs_is_the_sample_spread():
    values = np.array([0.8, 0.9, 1.0])
    assert lookup("f1_seed_variance").compute(values) == pytest.approx(0.01)
    assert lookup("f1_seed_std").compute(values) == pytest.approx(0.1)
    assert lookup("same_seed_return_std").compute(np.array([200.0, 200.0])) == 0.0
    with pytest.raises(MetricUndefined, match="at least 2 runs"):
        lookup("f1_seed_std").compute(np.array([0.8]))
