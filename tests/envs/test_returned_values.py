"""What an environment returns is what its spaces allow, or one sentence says what it is and when."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, VectorEnv
from hypothesis import given
from hypothesis import strategies as st

from rl_eval.envs.gymnasium_vector import GymnasiumVector
from rl_eval.envs.one_hot import OneHotObservation
from rl_eval.envs.returned_values import VectorChecks
from rl_eval.envs.space_values import as_observation
from rl_eval.errors import InputError
from rl_eval.policy import Constant
from rl_eval.rewards import Native, RewardedVector, RewardFunction
from rl_eval.rollout import play

BOX = gym.spaces.Box(-9, 9, (4,), np.float32)
GOOD = np.zeros(4, np.float32)


class Env(gym.Env):
    """Returns what it is given in its third step, and the same as everything before."""

    observation_space = BOX
    action_space = gym.spaces.Discrete(2)

    def __init__(self, third=(), reset=GOOD):
        self.third, self.first_obs, self.at = third, reset, 0

    def reset(self, *, seed=None, options=None):
        return self.first_obs, {}

    def step(self, action):
        self.at += 1
        returned = {"obs": GOOD, "reward": 1.0, "terminated": False, "truncated": False, "info": {}}
        return tuple({**returned, **(dict(self.third) if self.at == 3 else {})}.values())


def third_step(copies=3, autoreset=True, **third):
    """The vector whose copy 1 returns these values in its third step, after that step."""
    vector = GymnasiumVector([Env(third if i == 1 else ()) for i in range(copies)], autoreset=autoreset)
    vector.reset(seed=0)
    for _ in range(2):
        vector.step(np.zeros(copies, int))
    return vector.step(np.zeros(copies, int))


def refused(**third):
    with pytest.raises(InputError) as raised:
        third_step(**third)
    sentence = str(raised.value)
    assert "\n" not in sentence
    assert "in step 3 of copy 1" in sentence
    return sentence


@pytest.mark.parametrize(
    ("obs", "described"),
    [
        (np.zeros(1, np.float32), "float32 (1,)"),  # would spread over four
        (np.float32(0), "float32 ()"),
        (0.5, "0.5 (float)"),
        (np.zeros((1, 4), np.float32), "float32 (1, 4)"),
        (np.zeros(4, complex), "complex128 (4,)"),
        (np.array(list("abcd")), "<U1 (4,)"),
        (np.array([None] * 4), "object (4,)"),
        ([[1.0], [2.0, 3.0]], "list"),
        (None, "None"),
        (np.array([0, 0, np.nan, 0], np.float32), "not finite"),
        (np.array([0, 0, 1e300, 0]), "not finite"),  # in the type of the space
        (np.array([0, -np.inf, 0, 0]), "not finite"),
    ],
)
@pytest.mark.filterwarnings("ignore:overflow encountered in cast:RuntimeWarning")
@pytest.mark.parametrize("end", [False, True])
def test_an_observation_that_the_space_does_not_allow_is_refused(obs, described, end):
    """Also as the last observation of an episode."""
    sentence = refused(obs=obs, truncated=end)
    assert "observation" in sentence
    assert described in sentence


@pytest.mark.parametrize(
    "obs", [np.arange(4.0), np.arange(4), np.arange(4, dtype=np.uint8), [0, 1, 2, 3], (0, 1, 2, 3.0)]
)
def test_numbers_of_the_right_shape_are_taken_in_the_type_of_the_space(obs):
    returned, *_ = third_step(obs=obs)
    assert returned.dtype == np.float32
    np.testing.assert_array_equal(returned[1], [0, 1, 2, 3])


@pytest.mark.parametrize(
    ("reward", "described"),
    [
        (np.ones(1), "float64 (1,)"),
        (np.ones((1, 1)), "float64 (1, 1)"),
        (np.ones(2), "float64 (2,)"),
        ([1.0], "list"),
        (None, "None"),
        ("1", "'1' (str)"),
        (1j, "complex"),
        (np.nan, "not finite"),
        (np.inf, "not finite"),
        (np.float32(-np.inf), "not finite"),
        ({}, "dict"),
    ],
)
@pytest.mark.parametrize("copies", [2, 3])
def test_a_reward_that_is_not_one_number_is_refused(reward, described, copies):
    sentence = refused(reward=reward, copies=copies)
    assert "reward" in sentence
    assert described in sentence


@pytest.mark.parametrize("reward", [2, np.float32(2), np.int8(2), np.array(2.0), 2.0])
def test_any_one_number_is_a_reward(reward):
    _, rewards, *_ = third_step(reward=reward)
    assert rewards.dtype == np.float64
    assert rewards.tolist() == [1.0, 2.0, 1.0]


@pytest.mark.parametrize("name", ["terminated", "truncated"])
@pytest.mark.parametrize("value", [1, 0, None, "yes", np.array([True]), np.zeros(4, bool), np.int64(1), 0.0])
def test_an_end_that_is_not_one_bool_is_refused(name, value):
    assert f"returned {name}=" in refused(**{name: value})


def test_numpys_bool_is_one():
    *_, terminated, truncated, _ = third_step(terminated=np.True_, truncated=np.array(False)[()])
    assert terminated.tolist() == [False, True, False]
    assert not truncated.any()


@pytest.mark.parametrize("info", [None, 3, [("a", 1)]])
def test_an_info_that_is_no_mapping_is_refused(info):
    assert "info" in refused(info=info)


class Returns(Env):
    """Returns `started` on reset, and `stepped` in every step."""

    def __init__(self, started=(GOOD, {}), stepped=(GOOD, 1.0, False, False, {})):
        super().__init__()
        self.started, self.stepped = started, stepped

    def reset(self, *, seed=None, options=None):
        return self.started

    def step(self, action):
        return self.stepped


@pytest.mark.parametrize("started", [GOOD, None, (GOOD,), (GOOD, {}, {}), (GOOD, None)])
@pytest.mark.parametrize("wrapped", [False, True])
def test_what_reset_must_return_is_said(started, wrapped):
    env = Returns(started)
    with pytest.raises(InputError, match=r"'Returns' returned .* on reset of copy 0") as raised:
        GymnasiumVector([gym.wrappers.FlattenObservation(env) if wrapped else env]).reset(seed=0)
    if not isinstance(started, tuple) or len(started) != 2:
        assert "(observation, info)" in str(raised.value)


@pytest.mark.parametrize("stepped", [None, GOOD, (GOOD, 1.0, False, {}), (GOOD, 1.0, False, False, {}, {})])
@pytest.mark.parametrize("wrapped", [False, True])
def test_what_step_must_return_is_said(stepped, wrapped):
    env = Returns(stepped=stepped)
    vector = GymnasiumVector([gym.wrappers.TimeLimit(env, 9) if wrapped else env])
    vector.reset(seed=0)
    needed = r"'Returns' .* in step 1 of copy 0 .*\(observation, reward, terminated, truncated, info\)"
    with pytest.raises(InputError, match=needed):
        vector.step(np.zeros(1, int))


def test_an_environment_that_cannot_unpack_its_own_values_is_not_blamed_for_what_it_returns():
    class Failing(Env):
        def step(self, action):
            obs, _ = (action,)
            return obs, 0.0, False, False, {}

    vector = GymnasiumVector([Failing()])
    vector.reset(seed=0)
    with pytest.raises(ValueError, match="unpack"):
        vector.step(np.zeros(1, int))


@pytest.mark.parametrize("obs", [np.zeros(1, np.float32), 0, np.full(4, np.nan, np.float32), None])
def test_the_first_observation_is_checked_too(obs):
    with pytest.raises(InputError, match=r"observation .* on reset of copy 0"):
        GymnasiumVector([Env(reset=obs)]).reset(seed=0)


@pytest.mark.parametrize(
    ("number", "allowed"), [(0, False), (2, True), (4, True), (5, False), (-1, False), (2.0, False)]
)
def test_a_discrete_observation_is_in_its_range(number, allowed):
    env = Env(reset=number)
    env.observation_space = gym.spaces.Discrete(3, start=2)
    one_hot = OneHotObservation(env)
    if allowed:
        assert one_hot.reset()[0].tolist() == [float(i == number - 2) for i in range(3)]
    else:
        with pytest.raises(InputError, match="Discrete"):
            one_hot.reset()


@given(values=st.lists(st.integers(-300, 300), min_size=2, max_size=2), dtype=st.sampled_from(["i1", "u1", "i4", "u8"]))
def test_an_integer_is_taken_unless_the_type_of_the_space_cannot_hold_it(values, dtype):
    space = gym.spaces.Box(0, 100, (2,), np.dtype(dtype))
    obs = as_observation(np.array(values, np.int64), space)
    if obs is not None:
        assert obs.tolist() == values
    elif dtype in ("i1", "i4"):
        assert not all(np.iinfo(dtype).min <= value <= np.iinfo(dtype).max for value in values)


@pytest.mark.parametrize("env_id", ["CartPole-v1", "Acrobot-v1", "MountainCar-v0", "Pendulum-v1", "LunarLander-v3"])
def test_gymnasiums_own_environments_return_what_their_space_says(env_id):
    """So their steps are not checked one by one."""
    env = gym.make(env_id, max_episode_steps=20)
    observations = [env.reset(seed=0)[0]]
    env.action_space.seed(0)
    for _ in range(100):
        obs, _, terminated, truncated, _ = env.step(env.action_space.sample())
        observations += [obs, env.reset()[0]] if terminated or truncated else [obs]
    for obs in observations:
        assert (obs.dtype, obs.shape) == (env.observation_space.dtype, env.observation_space.shape)


# -- vectors ---------------------------------------------------------------------------------------------------------


class Vector(VectorEnv):
    """Two copies without autoreset; `change` replaces what a step returns."""

    num_envs = 2
    metadata = {"autoreset_mode": AutoresetMode.SAME_STEP}
    single_observation_space = BOX
    single_action_space = gym.spaces.Discrete(2)

    def __init__(self, **change):
        self.change = change

    def reset(self, *, seed=None, options=None):
        return np.zeros((2, 4), np.float32), self.change.get("reset_infos", {})

    def step(self, actions):
        flags, truncated = np.zeros(2, bool), self.change.get("truncated", np.ones(2, bool))
        infos = {"outcome": {"native_reward": np.ones(2)}, "final_obs": np.zeros((2, 4), np.float32)}
        infos |= self.change.get("infos", {})
        returned = {"obs": np.zeros((2, 4), np.float32), "rewards": np.ones(2), "terminated": flags}
        returned |= {name: self.change[name] for name in returned.keys() & self.change.keys()}
        return *returned.values(), truncated, infos


WRONG = [
    {"obs": np.zeros((2, 1), np.float32)},
    {"obs": np.zeros((4, 2), np.float32)},
    {"obs": np.zeros((2, 4), complex)},
    {"obs": np.array([[0] * 4, [0, 0, 0, np.nan]], np.float32)},
    {"obs": None},
    {"rewards": np.ones((2, 1))},
    {"rewards": np.array([1, np.inf])},
    {"rewards": [1.0, 1.0]},
    {"terminated": np.zeros(2)},
    {"truncated": np.ones((2, 1), bool)},
    {"truncated": True},
    {"infos": {"outcome": None}},
    {"infos": {"outcome": {"native_reward": np.ones(3)}}},
    {"infos": {"outcome": {"native_reward": np.array(["a", "b"])}}},
    {"infos": {"final_obs": None}},
    {"infos": {"final_obs": np.zeros((2, 3), np.float32)}},
    {"infos": {"final_obs": np.full((2, 4), np.inf, np.float32)}},
    {"infos": {"action_mask": np.ones((2, 2), bool)}},  # and none on reset
    {"reset_infos": {"action_mask": np.ones((2, 2), bool)}},  # and none on a step
    {"reset_infos": {"action_mask": np.ones((2, 3), bool)}},
    {"reset_infos": {"action_mask": np.ones((2, 2))}},
    {"reset_infos": None},
]


@pytest.mark.parametrize("change", WRONG)
def test_what_a_vector_may_not_return_is_one_sentence_in_training_and_in_play(change):
    def train():
        vector = RewardedVector(Vector(**change), RewardFunction({"native": (1.0, Native())}))
        vector.reset(seed=[0, 1])
        vector.step(np.zeros(2, int))

    def judge():
        play(Vector(**change), Constant(Vector.single_action_space, "0"), seeds=[0, 1])

    for use in (train, judge):
        with pytest.raises(InputError, match=r"environment 'Vector'") as raised:
            use()
        assert "\n" not in str(raised.value)


def test_what_a_vector_may_return_is_taken():
    vector = RewardedVector(Vector(obs=np.zeros((2, 4))), RewardFunction({"native": (1.0, Native())}))
    vector.reset(seed=[0, 1])
    vector.step(np.zeros(2, int))
    assert len(play(Vector(), Constant(Vector.single_action_space, "0"), seeds=[0, 1])) == 2


def test_only_copies_that_play_need_finite_numbers():
    checks, infos = VectorChecks(Vector()), {"outcome": {"native_reward": np.ones(2)}}
    obs, none = np.array([[0.0] * 4, [np.nan] * 4]), np.zeros(2, bool)
    checks.step(obs, np.array([1.0, np.nan]), none, none, infos, np.array([True, False]))
    with pytest.raises(InputError, match="copy 1"):
        checks.step(obs, np.ones(2), none, none, infos)


def test_masks_of_a_vector_that_goes_on_without_a_reset_are_taken_from_its_first_step():
    checks, none, obs = VectorChecks(Vector()), np.zeros(2, bool), np.zeros((2, 4))
    infos = {"outcome": {"native_reward": np.ones(2)}}
    mask = np.ones((2, Vector.single_action_space.n), bool)
    checks.step(obs, np.ones(2), none, none, {**infos, "action_mask": mask})
    with pytest.raises(InputError, match="action_mask"):
        checks.step(obs, np.ones(2), none, none, infos)
