"""Baselines: what each leads to, and that the optimum is one."""

from itertools import pairwise

import numpy as np
import pytest

from rl_eval.domains.prompt import DOMAIN, Config, baselines
from rl_eval.domains.prompt.environment.dataset import load_part
from rl_eval.domains.prompt.environment.states import APPLIED
from rl_eval.domains.prompt.text.mutations import MUTATIONS
from rl_eval.errors import InputError
from rl_eval.rollout import play

CONFIG = Config()


def played(name, config=CONFIG):
    envs = DOMAIN.make(config, n_envs=4, part="test", autoreset=False)
    return play(envs, DOMAIN.baselines[name](config), seeds=range(DOMAIN.episodes(config, "test")))


def judged(name, config=CONFIG):
    return float(played(name, config).per_episode("judge_gain").mean())


def test_the_domain_names_the_baselines_that_there_are():
    assert list(DOMAIN.baselines) == list(baselines.BASELINES)


def test_none_changes_nothing_and_a_mutation_is_applied_where_it_is_legal():
    assert not played("none").outcome["state"].any()
    legal = load_part(CONFIG, "test").states.legal
    for bit, name in enumerate(MUTATIONS):
        outcome = played(name).outcome
        ends = outcome["episode_end"]
        np.testing.assert_array_equal(outcome["state"][ends], legal[outcome["start"][ends], 0, bit] << bit)


@pytest.mark.parametrize("config", [CONFIG, Config(max_mutations=2)], ids=["five", "two"])
def test_the_optimum_is_what_trying_all_states_finds_and_no_policy_beats_it(config):
    prompts = load_part(config, "test")
    scores = prompts.scores["judge"]
    best = [
        max(
            scores[s, m]
            for m in range(32)
            if prompts.states.can_reach[s, m] and APPLIED[m].sum() <= config.max_mutations
        )
        for s in range(len(prompts))
    ]
    gains = {name: judged(name, config) for name in DOMAIN.baselines}
    assert gains["optimal"] == pytest.approx(np.mean(best - scores[:, 0]), abs=1e-6)
    assert max(gains.values()) == gains["optimal"]


def test_the_best_sequence_is_the_best_on_the_training_prompts():
    def gain(state):
        envs = DOMAIN.make(CONFIG, n_envs=4, part="train", autoreset=False)
        policy = baselines.FixedSequence(state, 6)
        return float(
            play(envs, policy, seeds=range(DOMAIN.episodes(CONFIG, "train"))).per_episode("feedback_gain").mean()
        )

    best = baselines.best_sequence(CONFIG)
    gains = [gain(state) for state in range(32)]
    assert gains[best] == pytest.approx(max(gains), abs=1e-6)


def test_no_fixed_sequence_gains_more_on_the_test_prompts_than_the_one_chosen_in_hindsight():
    def gain(state):
        envs = DOMAIN.make(CONFIG, n_envs=4, part="test", autoreset=False)
        fixed = baselines.FixedSequence(state, 6)
        return float(play(envs, fixed, seeds=range(DOMAIN.episodes(CONFIG, "test"))).per_episode("judge_gain").mean())

    assert judged("hindsight_sequence") == pytest.approx(max(gain(state) for state in range(32)), abs=1e-6)


def test_greedy_search_takes_the_best_step_as_long_as_one_is_better():
    scores = np.zeros((1, 32), np.float32)
    scores[0, [1, 2, 3, 7]] = [1.0, 2.0, 1.5, 9.0]  # the way to 7 leads through a worse prompt
    legal = ~APPLIED[None]
    assert baselines.greedy_on(scores, legal, 5).tolist() == [2]
    scores[0, 3] = 2.5
    assert baselines.greedy_on(scores, legal, 5).tolist() == [7]
    assert baselines.greedy_on(scores, legal, 2).tolist() == [3]


def test_hill_climbing_never_ends_below_its_start_and_asks_so_many_scores():
    rng = np.random.default_rng(0)
    scores, legal = rng.normal(size=(50, 32)), np.broadcast_to(~APPLIED, (50, 32, 5))
    hashes = rng.integers(0, 2**63, 50).astype(np.uint64)
    ends = [baselines.hill_climbing(scores, legal, hashes, trials) for trials in (0, 1, 5, 100)]
    values = [scores[np.arange(50), end] for end in ends]
    assert not ends[0].any()
    assert (APPLIED[ends[1]].sum(axis=1) <= 1).all()
    for fewer, more in pairwise(values):
        assert (more >= fewer).all()


def test_without_stop_a_baseline_takes_legal_actions_to_the_end():
    for name in DOMAIN.baselines:
        assert not played(name, Config(stop=False)).outcome["repeat"].any()


def test_a_planned_baseline_refuses_other_prompts():
    policy = DOMAIN.baselines["optimal"](CONFIG)
    observations = load_part(CONFIG, "test").observations[:, 0] + 1
    with pytest.raises(InputError, match="not one of them"):
        policy.act(observations, True, np.ones((len(observations), 6), bool))
