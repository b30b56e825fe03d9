"""Ridge regression inside tasks: as plain least squares says, and penalties chosen by leaving tasks out."""

import numpy as np
import pytest

from rl_eval.domains.prompt.reward_model.ridge import PENALTIES, RATIOS, Penalty, TaskSums

PLAIN = np.zeros(4, bool)


@pytest.fixture
def rows():
    """60 rows of 5 tasks, whose levels differ."""
    rng = np.random.default_rng(0)
    x, task = rng.normal(size=(60, 4)), np.repeat(np.arange(5), 12)
    y = x @ np.array([1.0, -2.0, 0.0, 0.5]) + 5 * rng.normal(size=5)[task] + rng.normal(size=60) * 0.1
    return x, y, task


def test_coefficients_are_those_of_least_squares_with_a_column_for_each_task(rows):
    x, y, task = rows
    ours = TaskSums.of(x, y, task, PLAIN).coefficients(range(5), Penalty(0.0, 1.0))
    design = np.concatenate([x, np.eye(5)[task]], axis=1)
    theirs = np.linalg.lstsq(design, y, rcond=None)[0][:4]
    np.testing.assert_allclose(ours, theirs, atol=1e-10)


def test_products_are_penalised_more_by_the_ratio(rows):
    x, y, task = rows
    products = np.array([False, True, False, True])
    ours = TaskSums.of(x, y, task, products).coefficients(range(5), Penalty(0.2, 7.0))
    centred = [values - np.array([values[task == k].mean(axis=0) for k in task]) for values in (x, y)]
    penalties = np.diag(60 * 0.2 * np.array([1.0, 7.0, 1.0, 7.0]))
    np.testing.assert_allclose(ours, np.linalg.solve(centred[0].T @ centred[0] + penalties, centred[0].T @ centred[1]))
    left_out = TaskSums.of(x, y, task, products).coefficients(range(5), Penalty(0.2, RATIOS[-1]))
    assert np.abs(left_out[products]).max() < 1e-6


def test_a_fit_without_a_task_is_a_fit_to_the_other_rows(rows):
    x, y, task = rows
    kept = task != 2
    others = np.unique(task[kept], return_inverse=True)[1]
    alone = TaskSums.of(x[kept], y[kept], others, PLAIN).coefficients(range(4), Penalty(0.1, 1.0))
    ours = TaskSums.of(x, y, task, PLAIN).coefficients([0, 1, 3, 4], Penalty(0.1, 1.0))
    np.testing.assert_allclose(ours, alone, atol=1e-12)


def test_the_error_is_the_sum_of_squares_around_the_level_of_the_task(rows):
    x, y, task = rows
    coefficients = np.array([1.0, 0.0, 2.0, -1.0])
    residuals = (y - x @ coefficients)[task == 3]
    expected = ((residuals - residuals.mean()) ** 2).sum()
    assert TaskSums.of(x, y, task, PLAIN).error(3, coefficients) == pytest.approx(expected)


def test_a_large_penalty_is_chosen_where_nothing_can_be_learned_and_a_small_one_where_all_can(rows):
    x, y, task = rows
    assert TaskSums.of(x, y, task, PLAIN).best_penalty(range(5)).features == PENALTIES[0]
    noise = np.random.default_rng(1).normal(size=60)
    assert TaskSums.of(x, noise, task, PLAIN).best_penalty(range(5)).features >= 0.3
