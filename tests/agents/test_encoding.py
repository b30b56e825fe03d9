"""Positions of numbers in bins: by hand, as a property, and in agents that learn, resume, start from others and act."""

import copy
import dataclasses
import json

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from agents import AGENTS, observation_sample
from agents.config import A2CConfig, DQNConfig, PPOConfig
from agents.encoding import Encoding, fit, network_inputs
from agents.observation_sample import random_observations
from tests.agents.environments import Walk, build

CONFIGS = [
    PPOConfig(n_envs=4, n_steps=16, batch_size=32, input_bins=5),
    A2CConfig(n_envs=4, input_bins=5, normalize_obs=True),
    DQNConfig(n_envs=4, learning_starts=40, batch_size=16, input_bins=5),
]
BY_NAME = pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.name)


@pytest.fixture(autouse=True)
def _few_observations(monkeypatch):
    monkeypatch.setattr(observation_sample, "LEAST", 600)


def started(config, seed=0, **keywords):
    agent = build(config, Walk(), seed, **keywords)
    agent.start([seed] * 4)
    return agent


def test_positions_by_hand():
    """Quartiles of 0 to 8 are 0, 2, 4, 6, 8; a column of two values has one bin, and is left out."""
    obs = np.column_stack([np.arange(9), np.arange(9) % 2]).astype(np.float32)
    encoding = fit(obs, 4)
    np.testing.assert_array_equal(encoding.columns, [0, 0, 0, 0])
    np.testing.assert_array_equal(encoding.low, [0, 2, 4, 6])
    np.testing.assert_array_equal(encoding.width, [2, 2, 2, 2])
    positions = encoding(np.array([[3, 7], [-1, 7], [8.5, 7]], np.float32))
    np.testing.assert_array_equal(positions, [[1, 0.5, 0, 0], [0, 0, 0, 0], [1, 1, 1, 1]])


def test_equal_quantiles_are_one_edge():
    """The quartiles of ten 0 and ten 1 are 0, 0, .5, 1, 1."""
    encoding = fit(np.repeat(np.array([0, 1], np.float32), 10)[:, None], 4)
    np.testing.assert_array_equal(encoding.low, [0, 0.5])
    np.testing.assert_array_equal(encoding.width, [0.5, 0.5])
    assert fit(np.ones((20, 3), np.float32), 4).size == 0


@given(arrays(np.float32, (30, 3), elements=st.floats(-1e3, 1e3, width=16)), st.integers(2, 9))
def test_positions_say_where_a_number_is(obs, bins):
    """Σ position · width is the distance from the first edge, up to the last one: nothing but the scale is lost."""
    encoding = fit(obs, bins)
    positions = encoding(obs)
    assert positions.shape == (30, encoding.size)
    assert ((positions >= 0) & (positions <= 1)).all()
    for column in set(encoding.columns.tolist()):
        of_column = encoding.columns == column
        distance = (positions[:, of_column] * encoding.width[of_column]).sum(axis=1)
        np.testing.assert_allclose(distance, obs[:, column] - obs[:, column].min(), rtol=1e-4, atol=1e-3)


def test_the_gradient_is_that_of_positions():
    rng = np.random.default_rng(0)
    encoding = fit(rng.normal(size=(200, 3)).astype(np.float32), 6)
    middles = (encoding.low + encoding.width / 2).reshape(3, 6).T  # no edge within a step of them
    obs, weights, step = np.vstack([middles, np.full(3, 99.0)]).astype(np.float32), rng.normal(size=encoding.size), 1e-3
    gradient = encoding.pull_back(np.tile(weights, (7, 1)), obs)
    for column in range(3):
        moved = [obs + sign * step * np.eye(3, dtype=np.float32)[column] for sign in (1, -1)]
        difference = (encoding(moved[0]) - encoding(moved[1])) @ weights / (2 * step)
        np.testing.assert_allclose(gradient[:, column], difference, atol=0.02 * np.abs(difference).max())


def test_a_damaged_encoding_is_refused():
    good = fit(np.random.default_rng(0).normal(size=(50, 2)).astype(np.float32), 4).arrays()
    assert Encoding.from_arrays({}) is None
    for name, array in (("low", np.zeros(3)), ("width", np.zeros(8)), ("columns", np.full(8, -1))):
        with pytest.raises(ValueError, match="the encoding"):
            Encoding.from_arrays({**good, f"encoding.{name}": array})


def test_the_sample_does_not_depend_on_the_seed_of_a_run():
    first, second = (random_observations(Walk(8), None) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert len(first) >= 600
    assert first[:, 1].max() > 2  # episodes of several steps


@BY_NAME
def test_networks_see_the_positions_beside_the_numbers(config):
    agent = started(config)
    obs = np.random.default_rng(1).normal(size=(7, 2)).astype(np.float32)
    inputs = agent.inputs(obs)
    assert agent.encoding.size > 5
    assert inputs.shape == (7, agent.input_size) == (7, 2 + agent.encoding.size)
    np.testing.assert_array_equal(inputs[:, 2:], agent.encoding(obs))
    np.testing.assert_array_equal(network_inputs(obs, None, 1.0, None), obs)


@BY_NAME
def test_a_snapshot_acts_as_the_agent(config):
    agent = started(config)
    for _ in range(3):
        agent.iterate()
    arrays, meta = agent.policy_checkpoint()
    policy = AGENTS[config.name].load_policy(arrays, json.loads(json.dumps(meta)))
    obs = np.random.default_rng(1).normal(size=(50, 2)).astype(np.float32)
    if config.name == "dqn":
        scores = agent.learner.values.q_values(agent.inputs(obs))
    else:
        scores = agent._inputs_and_parameters(obs, None)[1]
    np.testing.assert_array_equal(policy.act(obs, greedy=True), scores.argmax(axis=1) + 5)
    exported = AGENTS[config.name].to_onnx(arrays, meta, {})
    runtime = pytest.importorskip("onnxruntime")
    session = runtime.InferenceSession(exported, providers=["CPUExecutionProvider"])
    np.testing.assert_array_equal(session.run(["action"], {"observations": obs})[0], policy.act(obs, greedy=True))


@BY_NAME
def test_state_restores_to_the_bit(config):
    first = started(config)
    for _ in range(3):
        first.iterate()
    arrays, meta = copy.deepcopy(first.state())
    envs = copy.deepcopy(first.envs)
    rows = [first.iterate() for _ in range(2)]
    second = started(config, seed=9)
    second.envs = envs
    second.load_state(arrays, meta)
    assert repr([second.iterate() for _ in range(2)]) == repr(rows)


class Wide(Walk):
    """The same with another distribution of observations, so that fewer quantiles differ."""

    def _obs(self):
        return np.round(super()._obs())


@BY_NAME
def test_starting_from_another_run_takes_its_bins(config):
    parent = started(config)
    parent.iterate()
    child = build(config, Wide(), 1)
    assert child.encoding.size != parent.encoding.size
    child.initialize(*parent.policy_checkpoint())
    child.start([1] * 4)
    np.testing.assert_array_equal(child.encoding.low, parent.encoding.low)
    obs = np.random.default_rng(1).normal(size=(7, 2)).astype(np.float32)
    policies = [AGENTS[config.name].load_policy(*agent.policy_checkpoint()) for agent in (parent, child)]
    np.testing.assert_array_equal(*(policy.act(obs, greedy=True) for policy in policies))
    child.iterate()
    without = build(dataclasses.replace(config, input_bins=0), Walk(), 1)
    without.initialize(*parent.policy_checkpoint())
    np.testing.assert_array_equal(without.encoding.low, parent.encoding.low)


def test_margins_of_decisions_see_through_the_bins():
    agent = started(CONFIGS[0])
    agent.iterate()
    obs, step = np.array([[0.13, 2.4], [-0.71, 3.3]], np.float32), 1e-3
    gradient = agent.margin_gradients(obs)

    def lead(x):
        logits = np.sort(agent._inputs_and_parameters(x, None)[1].astype(np.float64), axis=1)
        return logits[:, -1] - logits[:, -2]

    for column in range(2):
        move = np.float32(step) * np.eye(2, dtype=np.float32)[column]
        difference = (lead(obs + move) - lead(obs - move)) / (2 * step)
        np.testing.assert_allclose(gradient[:, column], difference, rtol=0.05, atol=1e-3)


def test_what_reads_places_of_an_observation_takes_no_bins():
    from agents.config import QNetworkConfig

    with pytest.raises(ValueError, match="not supported: input_bins"):
        DQNConfig(input_bins=4, network=QNetworkConfig(groups=[1, 1], group_width=4))


def test_box_actions_too():
    agent = build(PPOConfig(n_envs=4, n_steps=16, batch_size=32, input_bins=4),
                  Walk(action_space=gym.spaces.Box(-1, 1, (2,), np.float32)))  # fmt: skip
    agent.start([0] * 4)
    assert np.isfinite(list(agent.iterate().values())[2])
