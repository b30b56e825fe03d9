"""Observations and actions of every Gymnasium space: what policies get and return, and what is refused."""

import copy
import sys
from types import ModuleType

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector.utils import batch_space, iterate

from rl_eval import domains
from rl_eval.domains.gym import Config
from rl_eval.envs.space_values import space_text
from rl_eval.errors import InputError
from rl_eval.gates import evaluate_suite, load_suite, named_runs
from rl_eval.policy import Constant, Random, Spaces, Untrained, load
from rl_eval.rollout import play
from tests.any_space_env import ACTIONS, OBSERVATIONS, AnySpaces, content, register

SEEDS = range(30, 37)


@pytest.fixture(autouse=True)
def _environment():
    register()


@pytest.fixture
def module(monkeypatch):
    """A module of somebody else's, which a test may fill."""
    module = ModuleType("their_policies")
    monkeypatch.setitem(sys.modules, "their_policies", module)
    return module


def made(n, observation=None, action=None, **config):
    config = Config(id="AnySpaces-v0", kwargs={"observation": observation, "action": action}, **config)
    vector = domains.make(config, n_envs=n, part="test", autoreset=False)
    return vector, Spaces.of(config, vector), config


def returns(n, spec, observation=None, action=None):
    vector, spaces, config = made(n, observation, action)
    acting = load(spec, spaces, config, trust=True) if isinstance(spec, str) else spec(vector.single_action_space)
    return play(vector, acting, seeds=SEEDS).per_episode("native_reward")


def chosen(space, value):
    """An action that depends on a number in [0, 1)."""
    space = copy.deepcopy(space)
    space.seed(int(value * 1e6))
    return space.sample()


def played_alone(observation, action):
    """The returns of `chosen` actions, one episode after the other, without this project."""
    env, totals = AnySpaces(observation, action), []
    for seed in SEEDS:
        obs, _ = env.reset(seed=seed)
        total, ended = 0.0, False
        while not ended:
            obs, reward, ended, _, _ = env.step(chosen(env.action_space, content(obs)))
            total += reward
        totals.append(total)
    return totals


@pytest.mark.parametrize("kind", OBSERVATIONS)
def test_a_policy_gets_observations_batched_as_gymnasium_does(module, kind):
    space, action = OBSERVATIONS[kind], ACTIONS["Discrete"]

    def act(obs, episode_start):
        n = len(episode_start)
        rows = list(iterate(batch_space(space, n), tuple(obs) if isinstance(obs, list) else obs))
        assert len(rows) == n
        return [chosen(action, content(row)) for row in rows]

    module.act = act
    expected = played_alone(space, action)
    assert len(set(expected)) > 3
    for n in (1, 3, len(SEEDS) + 1):
        np.testing.assert_allclose(returns(n, "python:their_policies:act", space, action), expected, rtol=1e-12)


POINT = gym.spaces.Box(-10, 10, (2,), np.float64)
WRITABLE = {
    "Box": POINT,
    "Dict": gym.spaces.Dict(place=gym.spaces.Dict(x=POINT)),
    "Sequence": gym.spaces.Sequence(POINT),
    "stacked Sequence": gym.spaces.Sequence(POINT, stack=True),
    "Tuple of Sequence": gym.spaces.Tuple(
        [gym.spaces.Sequence(gym.spaces.Tuple([POINT, POINT])), gym.spaces.Discrete(2)]
    ),
    "Dict of Graph": gym.spaces.Dict(graph=gym.spaces.Graph(POINT, None)),
    "OneOf": gym.spaces.OneOf([POINT, gym.spaces.Sequence(POINT)]),
}


def written(value, number):
    """Put a number into every array of a value; how many there were."""
    if isinstance(value, dict):
        return sum(written(part, number) for part in value.values())
    if isinstance(value, tuple | list) or (isinstance(value, np.ndarray) and value.dtype.hasobject):
        return sum(written(part, number) for part in value)
    if not isinstance(value, np.ndarray):
        return 0
    value[...] = number
    return 1


class KeepsItsArrays(gym.Env):
    """Returns the same arrays in every step, and counts in its reward what somebody else wrote into them."""

    action_space = gym.spaces.Discrete(2)

    def __init__(self, kind):
        self.observation_space, self.kind = copy.deepcopy(WRITABLE[kind]), kind

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.steps, self.point = 0, self.np_random.uniform(-1, 1, 2)
        point = self.point
        self.observation = {
            "Box": point,
            "Dict": {"place": {"x": point}},
            "Sequence": (point,),
            "stacked Sequence": point[None],
            "Tuple of Sequence": (((point, point),), 0),
            "Dict of Graph": {"graph": gym.spaces.GraphInstance(point[None], None, None)},
            "OneOf": (np.int64(1), (point,)),
        }[self.kind]
        return self.observation, {}

    def step(self, action):
        self.steps += 1
        cheated = float((self.point == 5.0).all())
        written(self.observation, self.steps)  # an environment may use its arrays again
        return self.observation, cheated, self.steps == 3, False, {}


@pytest.mark.parametrize("kind", WRITABLE)
def test_a_policy_that_writes_into_its_observations_changes_nothing_else(module, kind):
    gym.register("KeepsItsArrays-v0", KeepsItsArrays)
    try:
        config = Config(id="KeepsItsArrays-v0", kwargs={"kind": kind}, max_episode_steps=9)
        vector = domains.make(config, n_envs=2, part="test", autoreset=False)
    finally:
        gym.registry.pop("KeepsItsArrays-v0")

    def act(obs, episode_start):
        assert written(obs, 5.0)
        return np.zeros(len(episode_start), int)

    module.act = act
    spaces = Spaces.of(config, vector)
    episodes = play(vector, load("python:their_policies:act", spaces, config, trust=True), seeds=[1, 2])
    assert episodes.outcome["native_reward"].tolist() == [0.0] * 6
    env = KeepsItsArrays(kind)
    for seed, recorded in zip([1, 2], episodes.first_obs, strict=True):
        assert content(recorded) == content(env.reset(seed=seed)[0])


@pytest.mark.parametrize("kind", ACTIONS)
def test_a_policy_returns_actions_of_any_space(module, kind):
    space, action = OBSERVATIONS["matrix"], ACTIONS[kind]
    module.listed = lambda obs: [chosen(action, content(row)) for row in obs]
    expected = played_alone(space, action)
    np.testing.assert_allclose(returns(3, "python:their_policies:listed", space, action), expected, rtol=1e-12)
    if kind in ("Dict", "Tuple"):  # a batch, as Gymnasium's vectors take it

        def batched(obs):
            rows = [chosen(action, content(row)) for row in obs]
            if kind == "Dict":
                return {name: np.array([row[name] for row in rows]) for name in action}
            return tuple(np.array([row[index] for row in rows]) for index in range(len(action)))

        module.batched = batched
        np.testing.assert_allclose(returns(3, "python:their_policies:batched", space, action), expected, rtol=1e-12)


@pytest.mark.parametrize("kind", ACTIONS)
def test_useless_policies_act_in_any_space(kind):
    action = ACTIONS[kind]
    drawn = returns(3, lambda space: Random(space, 0), None, action)
    assert len(set(drawn)) == len(drawn)
    for name in ("low", "middle", "high"):
        if kind in ("Discrete", "Text"):
            with pytest.raises(InputError, match=f"^policy constant:{name} is not an action"):
                Constant(action, name)
        else:
            assert (returns(2, lambda space, name=name: Constant(space, name), None, action) > 0).all()
    for observation in OBSERVATIONS.values():
        if kind == "Text" or not observation.is_np_flattenable:
            with pytest.raises(InputError, match=r"^policy untrained is not supported on observations in"):
                Untrained(observation, action, 0, 0)
    if kind != "Text":
        vector, spaces, _ = made(2, OBSERVATIONS["Dict"], action)
        acting = Untrained(spaces.observation, action, 0, 0)
        assert play(vector, acting, seeds=SEEDS).lengths.min() >= 3
        assert play(vector, acting, seeds=SEEDS, greedy=False).lengths.min() >= 3


OUTSIDE = {
    "Discrete": (
        [2, 0, 0],
        r"the int64 action 2 for observation 0 of 3: every action must be in Discrete\(3, start=-1",
    ),
    "Box": ([[0, 0], [0, 0.8], [0, 0]], r"the float64 action \[0\.0, 0\.8\] for observation 1 .* \(clip it\)$"),
    "MultiDiscrete": ([[-1, 4], [2, 4], [0, 5]], r"the int64 action \[2, 4\] for observation 1 of 3"),
    "MultiBinary": (
        [[0, 1, 1], [0, 0, 0], [0, 2, 0]],
        r"the int64 action \[0, 2, 0\] for observation 2 of 3.*MultiBinary\(3\)$",
    ),
    "Dict": (
        [{"turn": 0, "force": [0, 3]}] * 3,
        r"an action for observation 0 .*: \['force'\]: \[0, 3\], which is not",
    ),
    "Tuple": ([(0, [0, 1])] * 2, r"2 actions for 3 observations: it must return one for each"),
    "Text": (["ok", "abcde", "x"], r"an action for observation 1 .*: 'abcde' \(str\), which is not in Text\(1, 4"),
}


@pytest.mark.parametrize("kind", OUTSIDE)
def test_actions_outside_of_the_space_are_refused(module, kind):
    answer, message = OUTSIDE[kind]
    module.act = lambda obs: answer
    with pytest.raises(InputError, match=f"^policy python:their_policies:act returned {message}") as error:
        returns(3, "python:their_policies:act", None, ACTIONS[kind])
    assert "\n" not in str(error.value)


BYTES, FLOATS = gym.spaces.Box(0, 255, (2,), np.uint8), gym.spaces.Box(-np.inf, np.inf, (2,), np.float32)


@pytest.mark.parametrize("nested", [False, True], ids=["Box", "Dict of Box"])
@pytest.mark.parametrize(
    ("space", "action", "message"),
    [
        (BYTES, [1.99, 3.0], r"\[1\.99, 3\.0\]"),
        (BYTES, [254.6, 3.0], r"\[254\.6, 3\.0\]"),
        (BYTES, [0, 256], r"\[0, 256\]"),
        (FLOATS, [1e39, 0.0], r"\[1e\+39, 0\.0\]"),
        (FLOATS, [np.inf, 0.0], r"(\[inf, 0\.0\]|a number that is not finite)"),
    ],
)
def test_fractions_of_integers_and_floats_that_are_too_large_are_refused(module, nested, space, action, message):
    value = {"part": np.array(action)} if nested else action
    module.act = lambda obs: [value] * len(obs)
    with pytest.raises(InputError, match=f"^policy python:their_policies:act returned .*{message}") as error:
        returns(3, "python:their_policies:act", None, gym.spaces.Dict(part=space) if nested else space)
    if not nested and isinstance(action[0], float) and space == BYTES:
        assert str(error.value).endswith("(round it to integers)")


def test_a_space_is_named_in_one_line():
    assert space_text(gym.spaces.MultiDiscrete([[3, 4], [2, 2]])) == "MultiDiscrete([[3 4] [2 2]])"
    assert space_text(gym.spaces.Box(0, 1, (3,))) == "Box(0.0, 1.0, (3,), float32)"
    high = np.arange(600.0).reshape(20, 30)
    assert space_text(gym.spaces.Box(0 * high, high, dtype=np.float64)) == "Box(0, 0 to 599, (20, 30), float64)"
    assert len(space_text(gym.spaces.Dict({f"a long name {i}": FLOATS for i in range(9)}))) < 200


def test_a_message_about_many_bounds_is_one_line(module):
    action = gym.spaces.Box(np.zeros(40, np.float32), np.arange(1, 41, dtype=np.float32))
    module.act = lambda obs: np.full((len(obs), 40), 50.0)
    with pytest.raises(InputError, match=r"must be in Box\(0, 1 to 40, \(40,\), float32\) \(clip it\)$"):
        returns(3, "python:their_policies:act", None, action)


@pytest.mark.parametrize("nested", [False, True], ids=["Box", "Dict of Box"])
def test_only_rounding_is_forgiven_and_to_the_nearest_integer(module, nested):
    action = gym.spaces.Dict(part=BYTES) if nested else BYTES
    total = {}
    for name, values in {"rounded": [1.999995, 255.000001], "whole": [2, 255]}.items():
        value = {"part": np.array(values)} if nested else values
        module.act = lambda obs, value=value: [value] * len(obs)
        total[name] = returns(3, "python:their_policies:act", None, action).tolist()
    assert total["rounded"] == total["whole"]


def test_random_draws_every_integer_of_a_box():
    drawn = Random(gym.spaces.Box(-1, 1, (2,), np.int8), 0).act(np.zeros((300, 1)), True)
    assert drawn.dtype == np.int8
    assert [np.unique(drawn[:, column]).tolist() for column in (0, 1)] == [[-1, 0, 1]] * 2
    with pytest.raises(
        InputError, match=r"^policy constant:0\.5 is not an action: give low, middle, high or one number"
    ):
        Constant(BYTES, "0.5")


@pytest.mark.parametrize("answer", [5, None, "text", {"turn": [0]}, [[1], [1, 2], 3], object(), [{}, {}, {}]])
@pytest.mark.parametrize("kind", ACTIONS)
def test_an_answer_of_another_kind_is_one_sentence(module, kind, answer):
    module.act = lambda obs: answer
    with pytest.raises(InputError, match=r"^policy python:their_policies:act returned ") as error:
        returns(3, "python:their_policies:act", None, ACTIONS[kind])
    assert "\n" not in str(error.value)


WRONG = {
    "image": (np.zeros((6, 5, 3), np.float32), r"the observation float32 \(6, 5, 3\) on reset of copy 0: its space"),
    "MultiDiscrete": (np.array([0, 0]), r"\[0, 0\], which is not in MultiDiscrete"),
    "MultiBinary": (np.full((2, 2), 2), r"\[\[2, 2\], \[2, 2\]\], which is not in MultiBinary"),
    "Text": ("much too long", r"'much too long' \(str\), which is not in Text"),
    "Dict": (
        {"image": np.zeros((4, 4, 1), np.uint8)},
        r"dict with the keys \['image'\] instead of a dict with the keys",
    ),
    "Tuple": ((1, np.float32([np.nan, 0]), "a"), r"\[1\]: float32 \(2,\) with a number that is not finite"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_observations_outside_of_the_space_are_refused(kind):
    value, message = WRONG[kind]
    space = copy.deepcopy(OBSERVATIONS[kind])
    space.sample = lambda *_: value
    vector, spaces, _ = made(2, space)
    with pytest.raises(InputError, match=f"^environment 'AnySpaces-v0' returned .*{message}") as error:
        play(vector, Random(spaces.action, 0), seeds=SEEDS)
    assert "\n" not in str(error.value)


def test_training_on_what_is_not_flat_names_the_environment():
    for observation, action in ((OBSERVATIONS["image"], None), (None, ACTIONS["Dict"]), (OBSERVATIONS["Dict"], None)):
        config = Config(id="AnySpaces-v0", kwargs={"observation": observation, "action": action})
        with pytest.raises(InputError, match=r"^training on 'AnySpaces-v0' is not supported: its .* can be judged$"):
            domains.make(config, n_envs=2, part="train")


def test_other_processes_step_arrays_alone():
    with pytest.raises(InputError, match=r"^env\.workers=2: observations of Dict, as env\.id='AnySpaces-v0' has, are"):
        made(2, "Dict", workers=2)


def test_a_suite_judges_dicts_with_all_controls(module, tmp_path, monkeypatch):
    gym.register("DictSpaces-v0", lambda: AnySpaces(OBSERVATIONS["Dict"], ACTIONS["Dict"]))
    module.act = lambda obs: {"turn": obs["place"]["room"], "force": obs["place"]["x"]}
    file = tmp_path / "dicts.yaml"
    file.write_text(
        "rl_eval: 1\nenv: {id: DictSpaces-v0}\nepisodes: {max: 60, return_bounds: [0, 8]}\n"
        "criteria:\n  returns: {metric: mean_return, at_least: 1}\n"
        "  much: {metric: mean_return, at_least: 7}\n"
    )
    monkeypatch.chdir(tmp_path)
    suite = load_suite(file)
    try:
        verdict = evaluate_suite(suite, named_runs(suite, ["python:their_policies:act"]), trust=True)
    finally:
        del gym.registry["DictSpaces-v0"]
    decisions = {criterion.criterion: criterion.decision for criterion in verdict.criteria}
    assert decisions == {"returns": "PASS", "much": "FAIL", "controls": "PASS", "held_out": "NOT_CHECKED"}
    (controls,) = (criterion for criterion in verdict.criteria if criterion.criterion == "controls")
    assert controls.units == 1 + 3 + 3  # random, three constants, three networks
