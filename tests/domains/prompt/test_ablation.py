"""Shuffled observations: each start is seen as another one, and only a policy that reads them loses by it."""

from dataclasses import replace

import numpy as np

from rl_eval.domains.prompt import Config
from rl_eval.domains.prompt.ablation import drop, shuffle
from rl_eval.domains.prompt.baselines import BASELINES
from rl_eval.domains.prompt.encoding import WIDTH
from rl_eval.domains.prompt.environment.dataset import load_part


def test_every_start_has_the_columns_of_another_one_and_keeps_the_others():
    prompts = load_part(Config(), "test")
    numbered = np.broadcast_to(np.arange(len(prompts))[:, None, None], prompts.observations.shape).copy()
    shuffled = shuffle(replace(prompts, observations=numbered), slice(0, WIDTH), 3)
    assert shuffled.scores is prompts.scores
    np.testing.assert_array_equal(shuffled.observations[..., WIDTH:], numbered[..., WIDTH:])
    seen_as = shuffled.observations[:, 0, 0]
    assert sorted(seen_as) == list(range(len(prompts)))
    assert (seen_as != np.arange(len(prompts))).all()
    assert (shuffled.observations[..., :WIDTH] == seen_as[:, None, None]).all()


def test_a_policy_that_reads_nothing_loses_nothing_and_one_that_reads_loses():
    config = Config()
    prompts = load_part(config, "test")
    for name in ("none", "expansion", "best_sequence"):
        assert drop(config, prompts, BASELINES[name](config), slice(None)) == 0
    optimal = BASELINES["optimal"](config)
    assert drop(config, prompts, optimal, slice(None)) > 0.05
