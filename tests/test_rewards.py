"""Rewards: a weighted sum of terms over the outcome; every term is in the infos."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import VectorEnv
from hypothesis import given
from hypothesis import strategies as st

from rl_eval.domains import cartpole, threat
from rl_eval.errors import InputError
from rl_eval.rewards import Native, RewardedVector, RewardFunction, RewardTerm

NATIVE = "rl_eval.rewards.Native"
MATRIX = {"_target_": "rl_eval.domains.threat.rewards.Matrix", "values": [[0, -1.4, -0.8, -0.5], [-1, 1, 0.8, 0.5]]}
NUMBERS = st.floats(-1e3, 1e3, width=32)


class Field:
    """One number of the outcome as it is."""

    def __init__(self, name):
        self.name = name

    def __call__(self, outcome):
        return outcome[self.name]


@given(
    weights=st.dictionaries(st.sampled_from("abcd"), NUMBERS, min_size=1),
    n=st.integers(1, 6),
    data=st.data(),
)
def test_the_reward_is_the_weighted_sum_of_the_terms(weights, n, data):
    outcome = {name: np.array(data.draw(st.lists(NUMBERS, min_size=n, max_size=n))) for name in weights}
    reward, terms = RewardFunction({name: (weight, Field(name)) for name, weight in weights.items()})(outcome)
    assert reward.shape == (n,)
    assert reward.dtype == np.float32
    assert list(terms) == list(weights)
    for name, weight in weights.items():
        assert terms[name].dtype == np.float32
        np.testing.assert_array_equal(terms[name], (weight * outcome[name]).astype(np.float32))
    exact = np.sum([weight * outcome[name] for name, weight in weights.items()], axis=0)
    largest = sum(np.abs(weight * outcome[name]).max() for name, weight in weights.items())
    np.testing.assert_allclose(reward, exact, rtol=0, atol=largest * 4 * 2.0**-24 + 1e-30)


def test_terms_are_built_from_the_config_with_default_weight_one():
    outcome = {
        "native_reward": np.array([1.0, 2.0, 3.0, 4.0]),
        "label": np.array([0, 0, 1, 1], np.int8),
        "action": np.array([0, 1, 0, 3], np.int8),
    }
    function = RewardFunction.from_config({"cost": {**MATRIX, "weight": 2}, "own": {"_target_": NATIVE}})
    reward, terms = function(outcome)
    np.testing.assert_allclose(terms["cost"], [0, -2.8, -2, 1], rtol=1e-6)
    np.testing.assert_allclose(terms["own"], [1, 2, 3, 4])
    np.testing.assert_allclose(reward, [1, -0.8, 1, 5], rtol=1e-6)
    assert [weight for weight, _ in function.terms.values()] == [2.0, 1.0]


@pytest.mark.parametrize(
    ("terms", "message"),
    [
        ({}, r"^reward\.terms is empty: name at least one term"),
        (None, r"^reward\.terms=None is not a section of named terms"),
        ({"a": 3}, r"^reward\.terms\.a=3 is not a section with _target_ and weight$"),
        ({"a": {"weight": 1}}, r"^reward\.terms\.a has no _target_: name a term such as rl_eval\.rewards\.Native$"),
        ({"a": {"_target_": NATIVE, "weight": "much"}}, r"^reward\.terms\.a\.weight='much' is not a number$"),
        ({"a": {"_target_": NATIVE, "weight": None}}, r"^reward\.terms\.a\.weight=None is not a number$"),
        ({"a": {"_target_": NATIVE, "weight": float("nan")}}, r"^reward\.terms\.a\.weight=nan is not a finite"),
        ({"a": {"_target_": NATIVE, "k": 1}}, r"^reward\.terms\.a: .*takes no arguments"),
        ({"a": {**MATRIX, "values": [[1]]}}, r"^reward\.terms\.a: values must be two rows \(benign, threat\) of four"),
        ({"a": {"_target_": "os.system", "command": "x"}}, r"^_target_='os\.system' is not allowed: only names in"),
        ({"a": {"_target_": "rl_eval.rewards.Nativ"}}, r"^_target_='rl_eval\.rewards\.Nativ' cannot be loaded"),
        ({"a": {"_target_": "rl_eval.nowhere.Native"}}, r"^_target_='rl_eval\.nowhere\.Native' cannot be loaded"),
        (
            {
                "a": {
                    "_target_": "rl_eval.policy.load",
                    "spec": "sb3:ppo:x.zip",
                    "spaces": 0,
                    "config": 0,
                    "trust": True,
                }
            },
            r"^reward\.terms\.a\._target_='rl_eval\.policy\.load' is not a reward term: name a subclass",
        ),
        ({"a": {"_target_": "rl_eval.rewards.np"}}, r"'rl_eval\.rewards\.np' is not a reward term"),
        ({"a": {"_target_": "rl_eval.rewards.VectorWrapper", "env": 0}}, r"is not a reward term"),
        ({"a": {"_target_": 7}}, r"^_target_=7 is not allowed"),
    ],
)
def test_a_reward_that_cannot_be_is_one_sentence(terms, message):
    with pytest.raises(InputError, match=message) as error:
        RewardFunction.from_config(terms)
    assert "\n" not in str(error.value)


def test_an_outcome_without_what_a_term_reads_is_one_sentence():
    function = RewardFunction({"own": (1.0, Native())})
    with pytest.raises(
        InputError,
        match=r"^reward\.terms\.own reads 'native_reward', which the outcome of this environment does not have: "
        r"did you mean 'native_rewards'\? it has native_rewards, label$",
    ):
        function({"native_rewards": np.zeros(1), "label": np.zeros(1)})


class Foreign(RewardTerm):
    """A term that computes what a test says."""

    def __init__(self, compute):
        self.compute = compute

    def __call__(self, outcome):
        return self.compute(outcome)


@pytest.mark.parametrize(
    ("compute", "message"),
    [
        (lambda outcome: 1 / 0, r"^reward\.terms\.own failed with ZeroDivisionError: .*test_rewards\.py:\d+\)$"),
        (lambda outcome: ["a", "b"], r"^reward\.terms\.own failed with "),
        (lambda outcome: 1.0, r"^reward\.terms\.own returned an array of shape \(\): .*\(2,\)$"),
        (lambda outcome: np.zeros((2, 1)), r"of shape \(2, 1\)"),
        (lambda outcome: np.zeros(3), r"of shape \(3,\)"),
    ],
)
def test_a_term_that_fails_or_returns_another_shape_is_one_sentence(compute, message):
    with pytest.raises(InputError, match=message) as error:
        RewardFunction({"own": (1.0, Foreign(compute))})({"native_reward": np.zeros(2)})
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("autoreset", [True, False])
def test_a_rewarded_environment_is_the_environment_but_for_its_reward(autoreset):
    plain, inner = (
        cartpole.DOMAIN.make(cartpole.Config(), n_envs=3, part="train", autoreset=autoreset) for _ in range(2)
    )
    double = RewardFunction({"own": (2.0, Native()), "less": (-0.5, Native())})
    rewarded = RewardedVector(inner, double)
    assert rewarded.num_envs == 3
    assert rewarded.metadata == plain.metadata
    assert np.array_equal(plain.reset(seed=4)[0], rewarded.reset(seed=4)[0])
    rng, ended = np.random.default_rng(0), 0
    for _ in range(60):
        actions = rng.integers(0, 2, 3)
        one, two = plain.step(actions), rewarded.step(actions)
        for i in (0, 2, 3):
            assert np.array_equal(one[i], two[i])
        native = one[4]["outcome"]["native_reward"]
        assert np.array_equal(two[4]["outcome"]["native_reward"], native)
        assert np.array_equal(two[1], (1.5 * native).astype(np.float32))
        assert two[1].dtype == np.float32
        assert {name: term.tolist() for name, term in two[4]["reward_terms"].items()} == {
            "own": (2.0 * native).tolist(),
            "less": (-0.5 * native).tolist(),
        }
        ended += int((one[2] | one[3]).sum())
    assert ended >= 3
    rewarded.close()


class _HalfMissing(VectorEnv):
    """Two copies whose fact `speed` has no value in the second."""

    num_envs = 2
    single_observation_space = gym.spaces.Box(-1, 1, (1,), np.float64)
    single_action_space = gym.spaces.Discrete(2)

    def step(self, actions):
        outcome = {"native_reward": np.ones(2), "speed": np.array([1.0, np.nan])}
        return np.zeros((2, 1)), np.ones(2), np.zeros(2, bool), np.zeros(2, bool), {"outcome": outcome}


class _Speed(RewardTerm):
    def __call__(self, outcome):
        return outcome["speed"]


def test_a_term_of_a_fact_without_a_value_names_both():
    vector = RewardedVector(_HalfMissing(), RewardFunction({"fast": (1.0, _Speed())}))
    with pytest.raises(InputError, match="'speed'") as error:
        vector.step(np.zeros(2))
    assert "reward.terms.fast" in str(error.value)


def test_every_action_has_the_reward_that_taking_it_earns():
    small = {"train_flows": 300, "validation_flows": 100, "test_flows": 100}
    reward = RewardFunction.from_config({"matrix": MATRIX})
    vectors = [
        RewardedVector(threat.DOMAIN.make(threat.Config(**small), n_envs=5, part="train"), reward) for _ in range(5)
    ]
    for vector in vectors:
        vector.reset(seed=[1, 2, 3, 4, 5])
    for _ in range(3):
        vectors[0].step(np.zeros(5, int))
        earned = [vector.step(np.full(5, action))[1] for action, vector in enumerate(vectors[1:])]
        np.testing.assert_array_equal(vectors[0].rewards_of_actions(), np.stack(earned, axis=1))
        assert vectors[0].rewards_of_actions().dtype == np.float32


def test_an_environment_that_does_not_tell_has_no_rewards_of_actions():
    vector = cartpole.DOMAIN.make(cartpole.Config(), n_envs=2, part="train")
    assert RewardedVector(vector, RewardFunction({"native": (1.0, Native())})).rewards_of_actions is None
    vector.close()
