"""Gradients in closed form against autograd, on the same network and rows."""

import gymnasium as gym
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.closed_form_gradients import ClosedForm
from agents.config import A2CConfig, NetworkConfig, PPOConfig
from agents.experience import Experience
from agents.flat_parameters import FlatParameters
from agents.networks import ActorCritic
from tests.agents.environments import BOX, DISCRETE, Walk, build

SPACES = {"discrete": gym.spaces.Discrete(3), "box": BOX}


def experience(rng, count, obs_size, space, spread):
    """Experience whose ratios lie on both sides of the clip range, and whose values do too."""
    discrete = isinstance(space, gym.spaces.Discrete)
    f32 = lambda a: torch.from_numpy(np.asarray(a, np.float32))  # noqa: E731
    actions = torch.from_numpy(rng.integers(0, 3, count)) if discrete else f32(rng.normal(size=(count, 2)))
    columns = [f32(rng.normal(size=count) * spread) for _ in range(4)]
    return Experience(f32(rng.normal(size=(count, obs_size))), actions, *columns)


def with_rewards_of_actions(drawn, rng):
    return drawn._replace(rewards_of_actions=torch.from_numpy(rng.normal(size=(len(drawn.obs), 3)).astype(np.float32)))


@settings(max_examples=60)
@given(
    seed=st.integers(0, 2**32 - 1),
    space=st.sampled_from(sorted(SPACES)),
    activation=st.sampled_from(["tanh", "relu"]),
    widths=st.lists(st.integers(1, 9), max_size=3),
    count=st.integers(1, 33),
    clip_vf=st.sampled_from([None, 0.1, 1.0]),
    ent_coef=st.sampled_from([0.0, 0.3]),
    shared=st.booleans(),
    all_actions=st.booleans(),
)
def test_ppo_gradients_and_losses_equal_autograds(
    seed, space, activation, widths, count, clip_vf, ent_coef, shared, all_actions
):
    rng = np.random.default_rng(seed)
    network_config = NetworkConfig(widths=widths, activation=activation, shared=shared)
    config = PPOConfig(
        n_envs=1, n_steps=64, batch_size=64, clip_range_vf=clip_vf, ent_coef=ent_coef, network=network_config
    )
    agent = build(config, Walk(1, DISCRETE if space == "discrete" else BOX), seed % 1000)
    agent.network = ActorCritic(4, SPACES[space], network_config, rng, log_std_init=-0.3)
    agent.flat = FlatParameters(agent.network)
    agent.closed_form = ClosedForm.of(agent.network, network_config)
    drawn = experience(rng, count, 4, SPACES[space], spread=0.5)
    if all_actions and space == "discrete":
        drawn = with_rewards_of_actions(drawn, rng)
    with torch.no_grad():  # old log-probabilities near the present ones
        now, _ = agent.network.log_prob_and_entropy(agent.network.parameters_of_actions(drawn.obs), drawn.actions)
    drawn = drawn._replace(log_probs=now + 0.4 * drawn.log_probs)
    agent.apply_gradient = lambda: None
    starts = np.array([0])
    shuffled, _ = agent.shuffle(drawn.to_numpy(), np.arange(count), starts)  # normalises the advantages
    losses = agent.closed_form.ppo_epoch(shuffled, starts, [count], config, agent.apply_gradient)
    ours = agent.flat.parameter.grad.clone()
    expected = agent.epoch(drawn, starts, [count])
    np.testing.assert_allclose(losses, expected, rtol=2e-4, atol=2e-5)
    scale = float(agent.flat.parameter.grad.abs().max()) + 1e-4  # gradients near 0 are rounding errors of float32
    np.testing.assert_allclose(ours / scale, agent.flat.parameter.grad / scale, atol=2e-4)


@pytest.mark.parametrize("discrete", [True, False])
def test_an_epoch_of_minibatches_equals_autograds(discrete):
    config = PPOConfig(n_envs=1, n_steps=64, batch_size=8, ent_coef=0.01, lr=1e-3)
    drawn = experience(np.random.default_rng(0), 29, 2, SPACES["discrete" if discrete else "box"], spread=0.5)
    starts = np.array([0, 8, 16])  # the last minibatch has 13 rows
    agents = [build(config, Walk(1, DISCRETE if discrete else BOX)) for _ in range(2)]
    shuffled, _ = agents[0].shuffle(drawn.to_numpy(), np.arange(29), starts)
    ours = agents[0].closed_form.ppo_epoch(shuffled, starts, [8, 8, 13], config, agents[0].apply_gradient)
    expected = agents[1].epoch(drawn, starts, [8, 8, 13])
    np.testing.assert_allclose(ours, expected, rtol=2e-4, atol=2e-5)
    torch.testing.assert_close(agents[0].flat.parameter, agents[1].flat.parameter, rtol=1e-3, atol=2e-5)


def test_the_gradient_of_all_actions_is_the_mean_over_drawn_ones():
    """Without entropy and critic: Σₐ π(a) ∂log π(a) r(a), by autograd, for each row and action."""
    rng = np.random.default_rng(3)
    config = PPOConfig(n_envs=1, n_steps=64, batch_size=64, vf_coef=0.0, gamma=0.0)
    agent = build(config, Walk(1, DISCRETE))
    agent.network = ActorCritic(4, SPACES["discrete"], config.network, rng)
    agent.flat = FlatParameters(agent.network)
    drawn = with_rewards_of_actions(experience(rng, 7, 4, SPACES["discrete"], spread=0.5), rng)
    log_p = torch.log_softmax(agent.network.parameters_of_actions(drawn.obs), dim=-1)
    (log_p.detach().exp() * log_p * drawn.rewards_of_actions).sum(dim=-1).mean().neg().backward()
    expected = agent.flat.parameter.grad.clone()
    closed_form = ClosedForm.of(agent.network, config.network)
    parts = closed_form.all_actions_gradient(drawn.to_numpy(), config, 7)
    torch.testing.assert_close(agent.flat.parameter.grad, expected, rtol=1e-3, atol=1e-6)
    by_hand = (log_p.detach().exp() * drawn.rewards_of_actions).sum(dim=-1)
    np.testing.assert_allclose(parts[3], by_hand, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("space", SPACES)
def test_a2c_gradients_equal_autograds(space):
    rng = np.random.default_rng(0)
    config = A2CConfig(n_envs=1, ent_coef=0.1, normalize_advantage=True)
    agent = build(config, Walk(1, DISCRETE if space == "discrete" else BOX))
    agent.network = ActorCritic(4, SPACES[space], config.network, rng)
    agent.flat = FlatParameters(agent.network)
    agent.closed_form = ClosedForm.of(agent.network, config.network)
    agent.apply_gradient = lambda: None
    drawn = experience(rng, 40, 4, SPACES[space], spread=1.0)
    ours = agent.update(drawn)
    gradient = agent.flat.parameter.grad.clone()
    agent.closed_form = None
    expected = agent.update(drawn)
    assert ours == pytest.approx(expected, rel=1e-4)
    torch.testing.assert_close(gradient, agent.flat.parameter.grad, rtol=1e-3, atol=1e-5)


def test_what_it_does_not_serve_goes_through_autograd():
    cpu = torch.device("cpu")
    assert ClosedForm.serves(NetworkConfig(), cpu)
    for other in (
        NetworkConfig(norm="layer"),
        NetworkConfig(dropout=0.1),
        NetworkConfig(activation="gelu"),
    ):
        assert not ClosedForm.serves(other, cpu)
    assert not ClosedForm.serves(NetworkConfig(), torch.device("meta"))
