"""Reward terms: category weights, costs, and that no reward can read the judge in training."""

import numpy as np
import pytest

from rl_eval.domains.prompt import DOMAIN, Config
from rl_eval.domains.prompt.rewards import LengthCost, PredictedGain, RepeatCost, RubricGain
from rl_eval.domains.prompt.tasks.task import CATEGORIES
from rl_eval.errors import InputError
from rl_eval.rewards import RewardedVector, RewardFunction, RewardTerm

OUTCOME = {
    "predicted_gain": np.array([0.5, -0.25, 0.0], np.float32),
    "rubric_gain": np.array([0.1, 0.2, -0.1], np.float32),
    "category": np.array([CATEGORIES.index("topic"), CATEGORIES.index("sentiment"), CATEGORIES.index("topic")]),
    "length_gain": np.array([500.0, -200.0, 0.0], np.float32),
    "repeat": np.array([False, False, True]),
}


def test_gains_are_weighted_by_category():
    np.testing.assert_array_equal(PredictedGain()(OUTCOME), OUTCOME["predicted_gain"])
    np.testing.assert_array_equal(PredictedGain({"topic": 2.0})(OUTCOME), [1.0, -0.25, 0.0])
    np.testing.assert_allclose(RubricGain({"topic": 0.0})(OUTCOME), [0.0, 0.2, 0.0])


def test_length_costs_where_it_grows_and_repeats_cost():
    np.testing.assert_allclose(LengthCost(0.1)(OUTCOME), [-0.05, 0.0, 0.0])
    np.testing.assert_allclose(RepeatCost(0.3)(OUTCOME), [0.0, 0.0, -0.3])


@pytest.mark.parametrize(
    ("parameters", "named"),
    [
        ({"_target_": "rl_eval.domains.prompt.rewards.PredictedGain", "categories": {"mood": 1.0}}, "mood"),
        ({"_target_": "rl_eval.domains.prompt.rewards.PredictedGain", "categories": {"topic": -1.0}}, "topic"),
        ({"_target_": "rl_eval.domains.prompt.rewards.PredictedGain", "categories": {"topic": "much"}}, "topic"),
        ({"_target_": "rl_eval.domains.prompt.rewards.LengthCost", "per_thousand": -1}, "per_thousand"),
        ({"_target_": "rl_eval.domains.prompt.rewards.RepeatCost", "cost": float("nan")}, "cost"),
    ],
)
def test_bad_parameters_are_one_sentence(parameters, named):
    with pytest.raises(InputError, match=named) as caught:
        RewardFunction.from_config({"term": parameters})
    assert "\n" not in str(caught.value)


class JudgeGain(RewardTerm):
    def __call__(self, outcome):
        return outcome["judge_gain"]


def test_a_reward_that_reads_the_judge_is_refused_in_training():
    envs = RewardedVector(DOMAIN.make(Config(), n_envs=2, part="train"), RewardFunction({"judge": (1.0, JudgeGain())}))
    envs.reset(seed=0)
    with pytest.raises(InputError, match="judge_gain"):
        envs.step(np.zeros(2, int))
