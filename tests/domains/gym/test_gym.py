"""N copies of a Gymnasium environment compared, step by step, with Gymnasium's own vector environment."""

import warnings

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from gymnasium.wrappers import FlattenObservation
from pydantic import ValidationError

from rl_eval import domains
from rl_eval.domains.gym import DOMAIN, Config
from rl_eval.errors import InputError
from rl_eval.policy import Constant
from rl_eval.rollout import play

COPIES = 4
# Gymnasium id, kwargs, and steps that take every copy past the end of an episode.
SAME = [
    ("CartPole-v1", {}, 150),
    ("CartPole-v1", {"max_episode_steps": 7}, 30),  # truncation
    ("LunarLander-v3", {}, 300),
    ("LunarLander-v3", {"continuous": True, "enable_wind": True}, 300),
    ("Pendulum-v1", {}, 450),
    ("FrozenLake-v1", {"is_slippery": True}, 200),
    ("Acrobot-v1", {"max_episode_steps": 50}, 120),
]


def make(env_id, n_envs=COPIES, autoreset=True, **kwargs):
    return DOMAIN.make(Config(id=env_id, kwargs=kwargs), n_envs=n_envs, part="train", autoreset=autoreset)


def make_reference(env_id, mode=AutoresetMode.SAME_STEP, **kwargs):
    def one():
        env = gym.make(env_id, **kwargs)
        return FlattenObservation(env) if isinstance(env.observation_space, gym.spaces.Discrete) else env

    return SyncVectorEnv([one] * COPIES, autoreset_mode=mode)


@pytest.mark.parametrize(("env_id", "kwargs", "steps"), SAME, ids=lambda value: value if isinstance(value, str) else "")
def test_it_is_gymnasiums_sync_vector_env_step_by_step(env_id, kwargs, steps):
    vector, reference = make(env_id, **kwargs), make_reference(env_id, **kwargs)
    assert vector.observation_space == reference.observation_space
    assert vector.action_space == reference.action_space
    assert vector.metadata["autoreset_mode"] == AutoresetMode.SAME_STEP
    seeds = [3, 1, 4, 15]
    obs, expected = vector.reset(seed=seeds)[0], reference.reset(seed=seeds)[0]
    assert obs.dtype == expected.dtype
    assert np.array_equal(obs, expected)
    reference.action_space.seed(0)
    ended = np.zeros(COPIES, int)
    for _ in range(steps):
        actions = reference.action_space.sample()
        obs, rewards, terminated, truncated, infos = vector.step(actions)
        expected, *rest, expected_infos = reference.step(actions)
        assert np.array_equal(obs, expected)
        for array, other in zip((rewards, terminated, truncated), rest, strict=True):
            assert array.dtype == other.dtype
            assert np.array_equal(array, other)
        assert np.array_equal(infos["outcome"]["native_reward"], rewards)
        done = terminated | truncated
        assert ("final_obs" in infos) == done.any() == ("final_obs" in expected_infos)
        if done.any():
            assert np.array_equal(infos["_final_obs"], done)
            assert np.array_equal(infos["_final_obs"], expected_infos["_final_obs"])
            assert infos["final_obs"].shape == obs.shape
            for i in np.flatnonzero(done):
                assert np.array_equal(infos["final_obs"][i], expected_infos["final_obs"][i])
        ended += done
    assert ended.all(), "the comparison is to cover the end of an episode in every copy"
    vector.close()
    reference.close()


@pytest.mark.parametrize("seed", [None, 5, np.int64(5)])
def test_one_seed_counts_up_as_gymnasiums_does(seed):
    vector, reference = make("CartPole-v1"), make_reference("CartPole-v1")
    if seed is None:
        assert vector.reset()[0] in vector.observation_space
    else:
        assert np.array_equal(vector.reset(seed=seed)[0], reference.reset(seed=int(seed))[0])


def test_what_was_returned_is_never_written_again():
    vector = make("CartPole-v1", max_episode_steps=3)
    steps = [(vector.reset(seed=0)[0],)]
    copies = [tuple(array.copy() for array in steps[0])]
    for _ in range(10):
        obs, rewards, terminated, truncated, infos = vector.step(np.zeros(COPIES, int))
        arrays = (obs, rewards, terminated, truncated, infos["outcome"]["native_reward"])
        arrays += (infos["final_obs"],) if "final_obs" in infos else ()
        steps.append(arrays)
        copies.append(tuple(array.copy() for array in arrays))
    for arrays, before in zip(steps, copies, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(arrays, before, strict=True))
    obs, rewards, *_, infos = vector.step(np.zeros(COPIES, int))
    rewards[:] = 99
    assert not (infos["outcome"]["native_reward"] == 99).any()


# -- without autoreset -------------------------------------------------------------------------------------------------


def test_disabled_it_is_gymnasiums_own_while_all_play():
    vector, reference = make("CartPole-v1", autoreset=False), make_reference("CartPole-v1", AutoresetMode.DISABLED)
    assert vector.metadata["autoreset_mode"] == AutoresetMode.DISABLED
    seeds = [3, 1, 4, 15]
    assert np.array_equal(vector.reset(seed=seeds)[0], reference.reset(seed=seeds)[0])
    for i in range(200):
        actions = np.array([0, 1, i, i // 2]) % 2
        obs, *rest, _ = vector.step(actions)
        expected, *expected_rest, _ = reference.step(actions)
        assert np.array_equal(obs, expected)
        assert all(np.array_equal(a, b) for a, b in zip(rest, expected_rest, strict=True))
        done = rest[1] | rest[2]
        if done.any():
            mask, fresh = done, [100 + i] * COPIES
            obs = vector.reset(seed=fresh, options={"reset_mask": mask})[0]
            expected = reference.reset(seed=fresh, options={"reset_mask": mask})[0]
            assert np.array_equal(obs, expected)


def test_a_finished_copy_is_idle_until_it_is_reset():
    vector = make("CartPole-v1", autoreset=False)
    vector.reset(seed=0)
    still, last = np.zeros(COPIES, bool), None
    while not still.all():
        actions = np.array([0, 1, 0, 1])
        actions[still] = 777  # the action of an idle copy is ignored
        obs, rewards, terminated, truncated, infos = vector.step(actions)
        assert not terminated[still].any()
        assert not truncated[still].any()
        assert (rewards[still] == 0).all()
        assert (rewards[~still] == 1).all()
        if last is not None:
            assert np.array_equal(obs[still], last[still])
        if terminated.any():
            assert np.array_equal(infos["final_obs"][terminated], obs[terminated])
        still, last = still | terminated, obs
    mask = np.array([True, False, False, True])
    obs = vector.reset(seed=[1, 2, 3, 4], options={"reset_mask": mask})[0]
    assert np.array_equal(obs[~mask], last[~mask])
    *_, rewards, _, _, _ = vector.step(np.zeros(COPIES, int))
    assert rewards.tolist() == mask.tolist()


def test_disabled_a_copy_that_was_never_reset_is_idle_too():
    vector = make("CartPole-v1", autoreset=False)
    mask = np.array([True, False, True, False])
    vector.reset(seed=[1, 2, 3, 4], options={"reset_mask": mask})
    assert vector.step(np.zeros(COPIES, int))[1].tolist() == mask.tolist()


# -- what it does not take ---------------------------------------------------------------------------------------------


class Odd(gym.Env):
    """Spaces that are not supported."""

    def __init__(self, observation=None, action=None):
        flat = gym.spaces.Box(-1, 1, (2,))
        self.observation_space = observation or flat
        self.action_space = action or gym.spaces.Discrete(2)


def dependency(module):
    raise gym.error.DependencyNotInstalled(f'{module} is not installed:\n  run `pip install "x[{module}]"`')


@pytest.fixture
def odd():
    """`Odd-v0` and `Needy-v0` are registered during the test."""
    gym.register("Odd-v0", Odd)
    gym.register("Needy-v0", lambda: dependency("Warp"))
    yield
    for name in ("Odd-v0", "Needy-v0"):
        del gym.registry[name]


def refused(message, env_id, **kwargs):
    with pytest.raises(InputError, match=message) as error:
        make(env_id, n_envs=1, **kwargs)
    assert "\n" not in str(error.value)


IMAGE = gym.spaces.Box(0, 255, (8, 8, 3), np.uint8)


@pytest.mark.parametrize(
    ("observation", "message"),
    [
        (gym.spaces.Dict(a=gym.spaces.Discrete(2)), "Dict, and training takes a flat Box or Discrete"),
        (gym.spaces.Tuple([gym.spaces.Discrete(2)]), "Tuple, and"),
        (gym.spaces.MultiBinary(3), r"MultiBinary of shape \(3,\), and"),
        (IMAGE, r"Box of shape \(8, 8, 3\), and"),
        (gym.spaces.Box(-1, 1, ()), "Box, and"),
    ],
)
def test_observations_that_are_not_supported_are_reported(odd, observation, message):
    refused(
        f"^training on 'Odd-v0' is not supported: its observations are {message}", "Odd-v0", observation=observation
    )


@pytest.mark.parametrize(
    "action", [gym.spaces.MultiDiscrete([2, 3]), gym.spaces.MultiBinary(2), gym.spaces.Dict(a=gym.spaces.Discrete(2))]
)
def test_actions_that_are_not_supported_are_reported(odd, action):
    refused(
        f"^training on 'Odd-v0' is not supported: its actions are {type(action).__name__}, and training takes Box or",
        "Odd-v0",
        action=action,
    )


def test_a_missing_dependency_is_one_sentence_that_says_what_to_install(odd):
    refused(
        r"^env\.id='Needy-v0' with env\.kwargs=\{\} cannot be made: Warp is not installed: run `pip install", "Needy-v0"
    )


@pytest.mark.parametrize(
    ("env_id", "message"),
    [
        ("CartPol-v1", r"is not registered with Gymnasium: did you mean 'CartPole-v1'\? list the ids with `python -c"),
        ("CartPole-v9", r"did you mean 'CartPole-v[01]'\?"),
        ("LunarLandr-v3", r"did you mean 'LunarLander-v3'\?"),
        ("nowhere:Thing-v0", r"^env\.id='nowhere:Thing-v0': the module 'nowhere' cannot be imported \(No module"),
        (".relative:Thing-v0", r"the module '\.relative' cannot be imported"),
    ],
)
def test_an_id_that_is_not_there_is_reported_with_the_nearest(env_id, message):
    refused(message, env_id)


@pytest.mark.parametrize(
    ("env_id", "kwargs", "message"),
    [
        ("CartPole-v1", {"wings": 2}, "with env.kwargs={'wings': 2} cannot be made: .*'wings'"),
        ("LunarLander-v3", {"gravity": 5}, r"cannot be made: gravity \(current value: 5\) must be between -12 and 0"),
        ("FrozenLake-v1", {"map_name": "7x7"}, r"cannot be made: KeyError: '7x7'"),
    ],
)
def test_kwargs_that_the_environment_refuses_are_reported(env_id, kwargs, message):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        refused(message, env_id, **kwargs)


# -- what every domain offers ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["gym", "cartpole", "lunarlander"])
def test_gymnasiums_domains_are_endless_and_have_one_fact_a_step(name):
    config = domains.validate({"name": name, "id": "CartPole-v1"} if name == "gym" else {"name": name})
    assert config.name == name
    domain = domains.domain(name)
    assert (domain.episodes(config, "test"), domain.episodes(config, "validation")) == (None, None)
    assert (domain.fingerprints(config), domain.facts(config), domain.baselines) == ({}, ("native_reward",), {})
    vector = domains.make(config, n_envs=2, part="test")
    vector.reset(seed=0)
    assert set(vector.step(np.zeros(2, int))[4]["outcome"]) == set(domain.facts(config))
    vector.close()


def test_an_unknown_domain_is_reported_with_the_nearest():
    with pytest.raises(
        InputError, match=r"env='lunar' is not an environment: did you mean 'lunarlander'\? the env.*gym"
    ):
        domains.domain("lunar")


# -- the length of episodes --------------------------------------------------------------------------------------------


class Endless(gym.Env):
    """Never ends by itself."""

    observation_space = gym.spaces.Box(-1, 1, (1,), np.float32)
    action_space = gym.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        return np.zeros(1, np.float32), {}

    def step(self, action):
        return np.zeros(1, np.float32), 0.0, False, False, {}


@pytest.fixture
def endless():
    gym.register("Endless-v0", Endless)
    yield "Endless-v0"
    del gym.registry["Endless-v0"]


def episode_length(**config):
    vector = DOMAIN.make(Config(**config), n_envs=1, part="test", autoreset=False)
    policy = Constant(vector.single_action_space, "0")
    return int(play(vector, policy, seeds=[0]).lengths[0])


def test_an_environment_without_a_limit_gets_one_in_every_part(endless):
    assert episode_length(id=endless) == 1_000
    assert episode_length(id=endless, max_episode_steps=7) == 7
    assert episode_length(id=endless, kwargs={"max_episode_steps": 8}) == 8
    (note,) = DOMAIN.notes(Config(id=endless))
    assert "1,000 steps" in note
    assert not DOMAIN.notes(Config(id=endless, max_episode_steps=7))


def test_a_limit_of_its_own_stays_unless_the_config_has_another():
    assert episode_length(id="Pendulum-v1", kwargs={}) == 200
    assert episode_length(id="Pendulum-v1", max_episode_steps=3) == 3
    assert episode_length(id="Pendulum-v1", max_episode_steps=300) == 300
    assert not DOMAIN.notes(Config(id="Pendulum-v1"))


@pytest.mark.parametrize("limit", [-1, 0, True, 1.5, "9", None])
def test_no_limit_is_refused(limit):
    with pytest.raises(InputError, match="max_episode_steps"):
        DOMAIN.make(Config(id="Pendulum-v1", kwargs={"max_episode_steps": limit}), n_envs=1, part="train")
    if limit in (-1, 0, 1.5) and limit is not True:
        with pytest.raises(ValidationError):
            Config(id="Pendulum-v1", max_episode_steps=limit)
    with pytest.raises(InputError, match="once"):
        DOMAIN.make(
            Config(id="Pendulum-v1", max_episode_steps=5, kwargs={"max_episode_steps": 5}), n_envs=1, part="train"
        )


def test_the_limit_is_part_of_what_an_environment_is_where_there_is_one():
    assert "max_episode_steps" not in domains.identity(Config(id="Pendulum-v1"))
    assert domains.identity(Config(id="Pendulum-v1", max_episode_steps=5))["max_episode_steps"] == 5
