"""A policy that starts from a prior: the expected action rises with the weighted features, and nothing else counts."""

import dataclasses
import functools

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents import policy
from agents.config import A2CConfig, NetworkConfig, PPOConfig
from agents.networks import ActorCritic

ACTIONS = gym.spaces.Discrete(8)
OBSERVATIONS = gym.spaces.Box(-np.inf, np.inf, (6,), np.float32)
PRIOR = NetworkConfig(widths=[], prior=[(2, 2.0), (5, -1.0)])


@functools.cache
def first_policy():
    """The policy of a snapshot before the first update."""
    network = ActorCritic(6, ACTIONS, PRIOR, np.random.default_rng(0))
    return policy.load(policy.pack(network, None, None), policy.metadata(OBSERVATIONS, ACTIONS, PRIOR, 10.0))


def expected_actions(acting, observations):
    return acting.probabilities(np.asarray(observations, np.float32)) @ np.arange(8)


numbers = st.integers(-20, 20).map(lambda eighths: eighths / 8)


@given(rows=st.lists(st.lists(numbers, min_size=6, max_size=6), min_size=2, max_size=12))
def test_the_first_policy_orders_by_the_weighted_sum_alone(rows):
    expected = expected_actions(first_policy(), rows)
    sums = np.array([2.0 * row[2] - row[5] for row in rows])
    differences, of_sums = expected[:, None] - expected, sums[:, None] - sums
    equal = of_sums == 0
    np.testing.assert_allclose(differences[equal], 0.0, atol=1e-5)
    assert (np.abs(differences[~equal]) > 1e-3).all()
    assert (np.sign(differences[~equal]) == np.sign(of_sums[~equal])).all()


def test_without_any_sum_every_action_is_as_likely():
    np.testing.assert_allclose(first_policy().probabilities(np.ones((1, 6)) * [9, 9, 1, 9, 9, 2]), 1 / 8)


def test_the_logits_worked_by_hand():
    config = NetworkConfig(widths=[], prior=[(0, 3.0)])
    network = ActorCritic(1, gym.spaces.Discrete(3), config, np.random.default_rng(0))
    assert network.actor_head.weight.tolist() == [[-3.0], [0.0], [3.0]]
    assert network.actor_head.bias.tolist() == [0.0, 0.0, 0.0]


def test_files_of_policies_without_a_prior_do_not_mention_it():
    described = policy.metadata(OBSERVATIONS, ACTIONS, NetworkConfig(), 10.0)["network"]
    assert described == {key: value for key, value in dataclasses.asdict(NetworkConfig()).items() if key != "prior"}


@pytest.mark.parametrize("config", [PPOConfig, A2CConfig])
@pytest.mark.parametrize(
    ("feature", "actions", "problem"),
    [
        (6, ACTIONS, "names the feature 6"),
        (0, gym.spaces.Box(-1.0, 1.0, (2,)), "orders discrete actions"),
        (5, ACTIONS, None),
    ],
)
def test_a_prior_must_suit_the_spaces(config, feature, actions, problem):
    agent = config(network=NetworkConfig(widths=[], prior=[(feature, 1.0)]))
    if problem is None:
        agent.check(OBSERVATIONS, actions, None)
    else:
        with pytest.raises(ValueError, match=problem):
            agent.check(OBSERVATIONS, actions, None)


def test_hidden_layers_and_a_prior_exclude_each_other():
    with pytest.raises(ValueError, match="not supported: prior"):
        NetworkConfig(widths=[16], prior=[(0, 1.0)])
