"""The vector environment: Gymnasium's checks, masks, facts, episodes of a gate, and bit-exact resuming."""

import json
import warnings

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode

from rl_eval.domains.prompt import DOMAIN, Config
from rl_eval.domains.prompt.environment.dataset import load_part
from rl_eval.envs import StatefulVector
from rl_eval.policy import Random
from rl_eval.rollout import play

CONFIG = Config()
STOP = 5
ID = "rl_eval.domains.prompt.gymnasium_env:rl_eval/Prompt-v0"


def make(config=CONFIG, n_envs=6, part="train", autoreset=True):
    return DOMAIN.make(config, n_envs=n_envs, part=part, autoreset=autoreset)


def legal_actions(rng, mask):
    return np.where(mask, rng.random(mask.shape), -1.0).argmax(axis=1)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("stop", [True, False])
def test_gymnasium_finds_nothing_wrong(stop):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*render.*")
        env = gym.make(ID, stop=stop).unwrapped
        assert env.action_space.n == 5 + stop
        check_env(env, skip_render_check=True)


def test_make_vec_gives_a_vector_that_resets_itself():
    envs = gym.make_vec(ID, num_envs=3)
    assert envs.metadata["autoreset_mode"] == AutoresetMode.SAME_STEP
    obs, infos = envs.reset(seed=1)
    assert obs in envs.observation_space
    assert infos["action_mask"].shape == (3, 6)


@pytest.mark.parametrize("stop", [True, False])
def test_a_mask_allows_what_changes_the_text_and_stop(stop):
    config, rng = Config(stop=stop), np.random.default_rng(0)
    envs, prompts = make(config, 16), load_part(config, "train")
    _, infos = envs.reset(seed=0)
    start, state = envs._start.copy(), envs._state.copy()
    for _ in range(60):
        mask = infos["action_mask"]
        np.testing.assert_array_equal(mask[:, :5], prompts.states.legal[start, state])
        assert mask.any(axis=1).all()
        assert not stop or mask[:, STOP].all()
        actions = legal_actions(rng, mask)
        _, _, _, _, infos = envs.step(actions)
        outcome = infos["outcome"]
        assert not outcome["repeat"].any()
        for copy in np.flatnonzero(actions != STOP):
            before = prompts.states.texts[start[copy]][state[copy]]
            after = prompts.states.texts[outcome["start"][copy]][outcome["state"][copy]]
            assert before != after
        start, state = envs._start.copy(), envs._state.copy()


def test_facts_are_differences_of_scores_and_sum_to_those_of_the_episode():
    envs, prompts = make(part="test", n_envs=5, autoreset=False), load_part(CONFIG, "test")
    played = play(envs, Random(envs.single_action_space, 3), seeds=range(len(prompts)))
    ends = played.outcome["episode_end"]
    assert ends.sum() == len(prompts)
    start, state = played.outcome["start"][ends], played.outcome["state"][ends]
    for name in ("predicted", "rubric", "feedback", "judge", "accuracy", "length"):
        scores = prompts.scores[name]
        # exact, so that the order of mutations cannot decide between equal results
        np.testing.assert_array_equal(played.per_episode(f"{name}_gain"), scores[start, state] - scores[start, 0])
    predicted, judged = (played.per_episode(f"{name}_gain") for name in ("predicted", "judge"))
    np.testing.assert_array_equal(played.per_episode("hacked"), (predicted > 1e-6) & (judged < -1e-6))


@pytest.mark.parametrize("n_envs", [1, 4, 50])
def test_playing_the_gate_visits_every_start_once(n_envs):
    envs = make(part="test", n_envs=n_envs, autoreset=False)
    count = DOMAIN.episodes(CONFIG, "test")
    played = play(envs, Random(envs.single_action_space, 0), seeds=range(count), order=7)
    assert sorted(played.outcome["start"][played.outcome["episode_end"]]) == list(range(count))
    assert played.terminated.all()
    assert played.lengths.max() <= 5


def test_training_visits_every_start_before_any_twice():
    envs = make(n_envs=4)
    count = DOMAIN.episodes(CONFIG, "train")
    envs.reset(seed=5)
    starts = []
    while len(starts) < 2 * count:
        _, _, _, _, infos = envs.step(np.full(4, STOP))
        starts += infos["outcome"]["start"].tolist()
    assert sorted(starts[:count]) == sorted(starts[count : 2 * count]) == list(range(count))
    assert starts[:count] != starts[count : 2 * count]


def test_an_episode_ends_at_its_longest_and_where_nothing_is_left_to_change():
    for most in (1, 2, 5):
        config = Config(max_mutations=most, stop=False)
        envs = make(config, part="test", autoreset=False)
        played = play(envs, Random(envs.single_action_space, 0), seeds=range(6))
        changes = load_part(config, "test").states.legal[played.outcome["start"], 0].sum(axis=1)
        assert played.lengths.max() <= most
        np.testing.assert_array_equal(played.lengths, np.minimum(changes[played.outcome["episode_end"]], most))


def test_without_masks_a_mutation_that_changes_nothing_is_a_repeat():
    envs = make(Config(masks=False), n_envs=3)
    _, infos = envs.reset(seed=0)
    assert "action_mask" not in infos
    _, _, _, _, infos = envs.step(np.zeros(3, int))
    state = infos["outcome"]["state"].copy()
    _, reward, _, _, infos = envs.step(np.zeros(3, int))
    assert "action_mask" not in infos
    assert infos["outcome"]["repeat"].all()
    assert not reward.any()
    np.testing.assert_array_equal(infos["outcome"]["state"], state)


def test_the_end_is_observed_and_a_new_episode_begins_in_the_same_step():
    envs, prompts = make(n_envs=4), load_part(CONFIG, "train")
    obs, _ = envs.reset(seed=0)
    following, _, terminated, truncated, infos = envs.step(np.array([STOP, 0, STOP, 1]))
    assert terminated.tolist() == infos["_final_obs"].tolist() == [True, False, True, False]
    assert not truncated.any()
    np.testing.assert_array_equal(infos["final_obs"][[0, 2]], obs[[0, 2]])
    np.testing.assert_array_equal(following[0], prompts.observations[envs._start[0], 0])
    assert infos["final_action_mask"].shape == (4, 6)


def test_an_episode_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="episode 99 does not exist"):
        make(part="test").reset(options={"episode": np.full(6, 99)})


def test_a_state_goes_on_to_the_bit_through_json():
    one, other, rng = make(), make(), np.random.default_rng(1)
    _, infos = one.reset(seed=2)
    for _ in range(9):
        _, _, _, _, infos = one.step(legal_actions(rng, infos["action_mask"]))
    assert isinstance(one, StatefulVector)
    saved = one.get_state()
    arrays = {name: value for name, value in saved.items() if isinstance(value, np.ndarray)}
    plain = json.loads(json.dumps({name: value for name, value in saved.items() if name not in arrays}))
    other.reset(seed=9)
    other.set_state({**arrays, **plain})
    for _ in range(40):
        actions = legal_actions(rng, infos["action_mask"])
        first, second = one.step(actions), other.step(actions)
        infos = first[4]
        np.testing.assert_array_equal(first[0], second[0])
        np.testing.assert_array_equal(first[1], second[1])
        np.testing.assert_array_equal(infos["outcome"]["start"], second[4]["outcome"]["start"])
