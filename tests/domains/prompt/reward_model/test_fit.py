"""The reward model: learns differences inside tasks, and measures itself on tasks it did not see."""

import json

import numpy as np
import pytest

from rl_eval.domains.prompt.reward_model.fit import fit_reward_model
from rl_eval.errors import InputError

RNG = np.random.default_rng(0)
FEATURES, TASK = RNG.normal(size=(240, 3)), np.repeat(np.arange(8), 30)
USED, MOVED = (0, 1, 2), (0, 1)
LEVEL = RNG.normal(size=8)[TASK] * 5  # how hard each task is


def test_products_of_features_are_learned_and_the_level_of_a_task_is_not():
    scores = FEATURES[:, 0] * FEATURES[:, 1] + LEVEL
    model = fit_reward_model(FEATURES, scores, TASK, USED, MOVED)
    assert model.correlation.low > 0.95
    for task in range(8):
        rows = task == TASK
        assert np.corrcoef(model.score(FEATURES[rows]), scores[rows])[0, 1] > 0.99


def test_a_score_without_pattern_has_no_correlation_on_unseen_tasks():
    found = fit_reward_model(FEATURES, RNG.normal(size=240), TASK, USED, MOVED).correlation
    assert abs(found.estimate) < 0.3
    assert found.low < 0 < found.high
    assert found.tasks == 8


def test_what_holds_in_one_task_alone_is_no_correlation_on_the_others():
    scores = np.where(TASK == 0, 5 * FEATURES[:, 0], RNG.normal(size=240) * 0.1)
    assert fit_reward_model(FEATURES, scores, TASK, USED, MOVED).correlation.estimate < 0.3


def test_scores_keep_the_shape_of_the_features_and_json_holds_numbers():
    model = fit_reward_model(FEATURES, FEATURES[:, 0] + LEVEL, TASK, USED, MOVED)
    assert model.score(FEATURES.reshape(8, 30, 3)).shape == (8, 30)
    recorded = json.loads(json.dumps(model.to_json()))
    assert recorded["rank_correlation"]["estimate"] == model.correlation.estimate


def test_a_constant_feature_changes_nothing():
    scores = FEATURES[:, 0] + LEVEL
    wider = np.concatenate([np.full((240, 1), 3.0), FEATURES], axis=1)
    np.testing.assert_allclose(
        fit_reward_model(wider, scores, TASK, (1, 2, 3, 0), (1, 2)).score(wider),
        fit_reward_model(FEATURES, scores, TASK, USED, MOVED).score(FEATURES),
    )


@pytest.mark.parametrize("tasks", [0, 1, 2])
def test_fewer_than_three_tasks_are_refused(tasks):
    rows = tasks > TASK
    with pytest.raises(InputError, match="at least 3"):
        fit_reward_model(FEATURES[rows], LEVEL[rows], TASK[rows], USED, MOVED)


def test_columns_that_are_not_used_do_not_count():
    scores = FEATURES[:, 0] + LEVEL
    model = fit_reward_model(FEATURES, scores, TASK, (2, 0), (0,))
    changed = FEATURES.copy()
    changed[:, 1] = 99.0
    np.testing.assert_array_equal(model.score(changed), model.score(FEATURES))
