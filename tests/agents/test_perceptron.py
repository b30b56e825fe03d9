"""Perceptrons on numpy arrays compared with torch's."""

import gymnasium as gym
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.config import NetworkConfig
from agents.networks import ActorCritic, Inference, arrays_of
from agents.perceptron import PlainActorCritic, is_plain

SPACES = {"discrete": gym.spaces.Discrete(3), "box": gym.spaces.Box(-1, 1, (2,), np.float32)}


@settings(max_examples=60)
@given(
    seed=st.integers(0, 2**32 - 1),
    space=st.sampled_from(sorted(SPACES)),
    activation=st.sampled_from(["tanh", "relu"]),
    widths=st.lists(st.integers(1, 9), max_size=3),
    dropout=st.sampled_from([0.0, 0.3]),
    shared=st.booleans(),
    rows=st.integers(1, 40),
)
def test_a_snapshot_on_numpy_equals_torch(seed, space, activation, widths, dropout, shared, rows):
    rng = np.random.default_rng(seed)
    config = NetworkConfig(widths=widths, activation=activation, dropout=dropout, shared=shared)
    network = ActorCritic(5, SPACES[space], config, rng, log_std_init=-0.3)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.3 * torch.from_numpy(rng.normal(size=tuple(parameter.shape)))
    assert is_plain(config)
    plain, expected = PlainActorCritic(arrays_of(network), 5, SPACES[space], config), Inference(network)
    inputs = rng.normal(size=(rows, 5)).astype(np.float32)
    close = {"rtol": 1e-4, "atol": 1e-5}
    np.testing.assert_allclose(plain.parameters_of_actions(inputs), expected.parameters_of_actions(inputs), **close)
    np.testing.assert_allclose(plain.values(inputs), expected.values(inputs), **close)
    assert (plain.log_std is None) == (expected.log_std is None)
    if plain.log_std is not None:
        np.testing.assert_array_equal(plain.log_std, expected.log_std)


def test_batches_of_any_sizes_take_turns():
    """What a pass leaves behind in the memory that is used again is not seen by the next."""
    config = NetworkConfig(widths=[6, 5], activation="relu")
    rng = np.random.default_rng(0)
    network = ActorCritic(5, SPACES["discrete"], config, rng)
    arrays = arrays_of(network)
    one = PlainActorCritic(arrays, 5, SPACES["discrete"], config)
    for rows in (3, 1, 40, 7, 2, 40, 39, 64, 3, 1, 5, 6):
        inputs = rng.normal(size=(rows, 5)).astype(np.float32)
        alone = PlainActorCritic(arrays, 5, SPACES["discrete"], config).parameters_of_actions(inputs)
        np.testing.assert_allclose(one.parameters_of_actions(inputs), alone, rtol=1e-6)


def test_arrays_of_another_network_are_named():
    config = NetworkConfig(widths=[4])
    arrays = arrays_of(ActorCritic(5, SPACES["box"], config, np.random.default_rng(0)))
    with pytest.raises(ValueError, match=r"weights differ in \['log_std'\]"):
        PlainActorCritic(arrays, 5, SPACES["discrete"], config)
    with pytest.raises(ValueError, match=r"actor_body\.0\.weight has shape \(4, 5\), expected \(4, 6\)"):
        PlainActorCritic(arrays, 6, SPACES["box"], config)


def test_other_networks_go_through_torch():
    assert not is_plain(NetworkConfig(norm="layer"))
    assert not is_plain(NetworkConfig(activation="gelu"))
