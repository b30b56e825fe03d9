"""Ridge regression inside groups: as plain least squares says, and penalties chosen by leaving groups out."""

import numpy as np
import pytest

from rl_eval.domains.prompt.reward_model.ridge import PENALTIES, GroupSums


@pytest.fixture
def rows():
    rng = np.random.default_rng(0)
    x, group = rng.normal(size=(60, 4)), np.repeat(np.arange(5), 12)
    y = x @ np.array([1.0, -2.0, 0.0, 0.5]) + np.array([3.0, -1.0, 0.0, 7.0, 2.0])[group] + rng.normal(size=60) * 0.1
    return x, y, group


def test_coefficients_are_those_of_least_squares_with_a_column_for_each_group(rows):
    x, y, group = rows
    ours = GroupSums.of(x, y, group).coefficients(range(5), 0.0)  # plain least squares
    design = np.concatenate([x, np.eye(5)[group]], axis=1)
    theirs = np.linalg.lstsq(design, y, rcond=None)[0][:4]
    np.testing.assert_allclose(ours, theirs, atol=1e-10)


def test_a_fit_without_a_group_is_a_fit_to_the_other_rows(rows):
    x, y, group = rows
    kept = group != 2
    alone = GroupSums.of(x[kept], y[kept], np.unique(group[kept], return_inverse=True)[1])
    ours = GroupSums.of(x, y, group).coefficients([0, 1, 3, 4], 0.1)
    np.testing.assert_allclose(ours, alone.coefficients(range(4), 0.1), atol=1e-12)


def test_the_error_is_the_sum_of_squares_around_the_level_of_the_group(rows):
    x, y, group = rows
    sums, coefficients = GroupSums.of(x, y, group), np.array([1.0, 0.0, 2.0, -1.0])
    residuals = y[group == 3] - x[group == 3] @ coefficients
    assert sums.error(3, coefficients) == pytest.approx(((residuals - residuals.mean()) ** 2).sum())


def test_a_large_penalty_is_chosen_where_nothing_can_be_learned_and_a_small_one_where_all_can(rows):
    x, y, group = rows
    assert GroupSums.of(x, y, group).best_penalty(range(5)) == PENALTIES[0]
    noise = np.random.default_rng(1).normal(size=60)
    assert GroupSums.of(x, noise, group).best_penalty(range(5)) >= 1.0
