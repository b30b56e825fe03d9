"""Rank correlation: scipy's numbers, and Student's interval over tasks."""

import math

import numpy as np
import pytest
from scipy import stats

from rl_eval.domains.prompt.reward_model.correlation import over_tasks, spearman
from rl_eval.errors import InputError


def test_spearman_is_that_of_scipy_with_ties():
    rng = np.random.default_rng(0)
    first, second = rng.integers(0, 5, 40), rng.integers(0, 5, 40)
    assert spearman(first, second) == pytest.approx(stats.spearmanr(first, second).statistic)
    assert math.isnan(spearman(first, np.ones(40)))


def test_the_interval_is_students():
    values = [0.2, 0.5, 0.9, 0.4]
    found = over_tasks([*values, math.nan])
    low, high = stats.t.interval(0.95, 3, np.mean(values), stats.sem(values))
    assert (found.estimate, found.tasks) == (pytest.approx(0.5), 4)
    assert (found.low, found.high) == (pytest.approx(max(low, -1)), pytest.approx(min(high, 1)))


def test_one_task_tells_nothing_about_others_and_none_is_an_error():
    found = over_tasks([0.7])
    assert (found.low, found.high) == (-1.0, 1.0)
    with pytest.raises(InputError, match="add tasks"):
        over_tasks([math.nan])
