"""First weights: orthogonal by default, or as Glorot and Bengio draw them."""

import gymnasium as gym
import numpy as np
import pytest
import torch

from agents.config import NetworkConfig, QNetworkConfig
from agents.networks import ActorCritic, arrays_of
from agents.q_network import QNetwork

ACTIONS = gym.spaces.Discrete(5)


def networks(init):
    """An actor-critic and a Q-network with attention, both from generator 0."""
    actor_critic = ActorCritic(20, ACTIONS, NetworkConfig(widths=[64, 48], init=init), np.random.default_rng(0))
    config = QNetworkConfig(widths=[64, 48], groups=[12, 8], init=init)
    return actor_critic, QNetwork(20, 5, config, True, np.random.default_rng(0))


@pytest.mark.parametrize("index", [0, 1])
def test_xavier_weights_fill_the_interval_of_glorot_and_bengio(index):
    linear = [module for module in networks("xavier")[index].modules() if isinstance(module, torch.nn.Linear)]
    assert len(linear) >= 6
    for layer in linear:
        weight = layer.weight.detach().numpy()
        bound = np.sqrt(6 / sum(weight.shape))
        assert np.abs(weight).max() <= bound + 1e-7
        assert np.abs(weight).max() > 0.9 * bound
        if weight.size > 1000:
            assert weight.std() == pytest.approx(bound / np.sqrt(3), rel=0.1)
        assert not layer.bias.any()


def test_orthogonal_weights_are_the_default():
    network = ActorCritic(20, ACTIONS, NetworkConfig(), np.random.default_rng(0))
    head = network.actor_head.weight.detach().numpy()
    np.testing.assert_allclose(head @ head.T, 1e-4 * np.eye(5), atol=1e-8)


@pytest.mark.parametrize("index", [0, 1])
def test_the_draw_comes_from_the_generator_alone(index):
    first, again = (arrays_of(networks("xavier")[index]) for _ in range(2))
    other = arrays_of(networks("orthogonal")[index])
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert not np.array_equal(first[next(iter(first))], other[next(iter(other))])
