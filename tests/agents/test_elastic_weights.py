"""Elastic weights: penalty and gradient against autograd, the Fisher information against its definition."""

import gymnasium as gym
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from agents import elastic_weights
from agents.config import A2CConfig, DQNConfig, NetworkConfig, PPOConfig, QNetworkConfig
from agents.elastic_weights import ElasticWeights, hold
from tests.agents.environments import BOX, Walk, build
from tests.agents.test_transitions import Recorded

SMALL = NetworkConfig(widths=[5])
CONFIGS = {
    "closed form": PPOConfig(n_envs=4, n_steps=8, batch_size=16, n_epochs=2, network=SMALL),
    "autograd": PPOConfig(
        n_envs=4, n_steps=8, batch_size=16, n_epochs=2, network=NetworkConfig(widths=[5], norm="layer")
    ),
    "shared": PPOConfig(n_envs=4, n_steps=8, batch_size=16, n_epochs=2, network=NetworkConfig(widths=[5], shared=True)),
    "a2c": A2CConfig(n_envs=4, n_steps=8, network=SMALL),
}  # fmt: skip
OBS = np.random.default_rng(1).normal(size=(6, 2)).astype(np.float32)


@given(st.integers(0, 2**32 - 1), st.integers(1, 30), st.floats(0, 100))
def test_penalty_and_gradient_are_those_of_autograd(seed, size, strength):
    rng = np.random.default_rng(seed)
    theta, anchor, fisher, gradient = (torch.from_numpy(rng.normal(size=size).astype(np.float32)) for _ in range(4))
    elastic = ElasticWeights(strength, anchor, fisher.abs())
    variable = theta.clone().requires_grad_()
    penalty = 0.5 * strength * (fisher.abs() * (variable - anchor) ** 2).sum()
    penalty.backward()
    assert elastic.penalty(theta) == pytest.approx(penalty.item(), rel=1e-5)
    total = gradient.clone()
    elastic.add_gradient(theta, total)
    torch.testing.assert_close(total - gradient, variable.grad, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("name", CONFIGS)
def test_every_path_of_the_gradient_carries_the_penalty(name):
    """What reaches the optimiser differs by exactly λ F (θ − θ*), in closed form and through autograd."""
    agents = [build(CONFIGS[name], Walk(4)) for _ in range(2)]
    held = agents[1]
    held.hold_weights(3.0, OBS)
    for agent in agents:
        with torch.no_grad():
            agent.flat.parameter += 0.1
        agent.config = type(agent.config)(**{**vars(agent.config), "max_grad_norm": 1e9})
    seen = [[], []]
    for agent, gradients in zip(agents, seen, strict=True):
        step = agent.optimizer.step
        agent.optimizer.step = lambda a=agent, g=gradients, s=step: (g.append(a.flat.parameter.grad.clone()), s())
        agent.iterate()
    expected = 3.0 * held.elastic.fisher * 0.1
    assert float(expected.abs().max()) > 1e-3
    torch.testing.assert_close(seen[1][0] - seen[0][0], expected, rtol=1e-3, atol=1e-5)


def test_dqn_carries_the_penalty():
    config = DQNConfig(learning_starts=8, batch_size=8, buffer_size=100, max_grad_norm=1e9, target_every=1000)
    agents = [build(config, Walk(1)) for _ in range(2)]
    agents[1].hold_weights(3.0, OBS)
    gradients = []
    for agent in agents:
        with torch.no_grad():
            agent.learner.flat.parameter += 0.1
        step = agent.learner.optimizer.step
        taken = []
        gradients.append(taken)
        agent.learner.optimizer.step = lambda a=agent, t=taken, s=step: (
            t.append(a.learner.flat.parameter.grad.clone()),
            s(),
        )
        agent.iterate()
    expected = 3.0 * agents[1].learner.elastic.fisher * 0.1
    assert float(expected.abs().max()) > 1e-3
    torch.testing.assert_close(gradients[1][0] - gradients[0][0], expected, rtol=1e-3, atol=1e-5)


def test_fisher_of_discrete_actions_is_its_definition():
    """E[(∂ log π(a | s))²] as a sum over actions, one gradient at a time; of the critic (∂V)²."""
    agent = build(CONFIGS["closed form"], Walk(4))
    found = agent.hold_weights(1.0, OBS)
    expected = torch.zeros_like(agent.flat.parameter.data)
    parameters = list(agent.network.parameters())
    for row in torch.from_numpy(OBS).split(1):
        log_p = torch.log_softmax(agent.network.parameters_of_actions(row), dim=1)[0]
        for action in range(3):
            gradients = torch.autograd.grad(log_p[action], parameters, retain_graph=True, allow_unused=True)
            flat = torch.cat(
                [
                    torch.zeros_like(p).flatten() if g is None else g.flatten()
                    for g, p in zip(gradients, parameters, strict=True)
                ]
            )
            expected += log_p[action].exp().detach() * flat**2 / len(OBS)
        gradients = torch.autograd.grad(agent.network.values(row)[0], parameters, allow_unused=True)
        flat = torch.cat(
            [
                torch.zeros_like(p).flatten() if g is None else g.flatten()
                for g, p in zip(gradients, parameters, strict=True)
            ]
        )
        expected += flat**2 / len(OBS)
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-3, atol=1e-7)


def test_illegal_actions_do_not_count():
    agent = build(CONFIGS["closed form"], Walk(4))
    agent.network.actor_head.bias.data += torch.tensor([5.0, 0.0, 0.0])
    masks = np.tile([False, True, True], (len(OBS), 1))
    fisher = agent.hold_weights(1.0, OBS, masks)
    assert np.isfinite(fisher).all()
    start = sum(
        p.numel() for name, p in agent.network.named_parameters() if name.startswith(("actor_body", "critic_body"))
    )
    head = agent.network.actor_head.weight.numel()
    names = [name for name, _ in agent.network.named_parameters()]
    assert names[-4:] == ["actor_head.weight", "actor_head.bias", "critic_head.weight", "critic_head.bias"]
    bias = fisher[start + head : start + head + 3]
    assert bias[0] == 0.0
    assert bias[1] > 0.0


def test_many_actions_are_drawn_and_come_near_their_expectation(monkeypatch):
    agent = build(CONFIGS["closed form"], Walk(4))
    obs = np.random.default_rng(2).normal(size=(200, 2)).astype(np.float32)
    exact = agent.hold_weights(1.0, obs)
    monkeypatch.setattr(elastic_weights, "EXACT_ACTIONS", 2)
    drawn = agent.hold_weights(1.0, obs)
    large = exact > 0.05 * exact.max()
    assert drawn[large] == pytest.approx(exact[large], rel=0.3)
    assert (drawn != exact).any()


def test_fisher_of_action_values_leaves_out_illegal_ones():
    config = DQNConfig(learning_starts=8, batch_size=8, buffer_size=100, network=QNetworkConfig(widths=[]))
    agent = build(config, Walk(1))
    fisher = agent.hold_weights(1.0, OBS, np.tile([False, True, True], (len(OBS), 1)))
    weights, biases = fisher[:6].reshape(3, 2), fisher[6:]
    np.testing.assert_allclose(weights, [[0, 0], *[(OBS**2).mean(axis=0)] * 2], rtol=1e-5)  # Q is linear
    np.testing.assert_allclose(biases, [0, 1, 1], rtol=1e-6)


def test_continuous_actions_have_the_fisher_information_of_a_normal_distribution():
    """Of log σ it is 2, whatever the network; 16 draws an observation come near."""
    agent = build(PPOConfig(n_envs=4, n_steps=8, batch_size=16, network=SMALL), Walk(4, BOX))
    fisher = agent.hold_weights(1.0, np.random.default_rng(0).normal(size=(100, 2)).astype(np.float32))
    names = [name for name, _ in agent.network.named_parameters()]
    assert names[0] == "log_std"
    assert fisher[:2] == pytest.approx(2.0, rel=0.2)


@settings(max_examples=10)
@given(st.floats(0, 1))
def test_earlier_information_adds_up(decay):
    parameter = torch.zeros(3)
    both = hold(parameter, 1.0, np.array([1.0, 2.0, 0.0]), np.array([4.0, 0.0, 1.0]), decay)
    np.testing.assert_allclose(both.fisher, [1 + 4 * decay, 2.0, decay], rtol=1e-6, atol=1e-37)
    parameter += 1.0
    assert float(both.anchor.sum()) == 0.0  # a copy, not a view


@pytest.mark.parametrize("dueling", [False, True])
def test_strong_springs_hold_a_policy_that_plain_learning_moves(dueling):
    config = DQNConfig(
        learning_starts=8, batch_size=8, buffer_size=400, lr=1e-2, dueling=dueling, network=QNetworkConfig(widths=[8])
    )
    moved = []
    for strength in (0.0, 1e5):
        agent = build(config, Recorded(1, gym.spaces.Discrete(3, start=5)))
        agent.hold_weights(strength, OBS)
        before = agent.learner.values.q_values(OBS).copy()
        agent.iterate()
        moved.append(np.abs(agent.learner.values.q_values(OBS) - before).max())
    assert moved[1] < 0.5 * moved[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"strength": -1.0}, "of at least 0"),
        ({"strength": float("nan")}, "of at least 0"),
        ({"fisher": np.array([1.0, -1.0])}, "negative or not finite"),
        ({"fisher": np.array([1.0])}, r"must be \[P\]"),
        ({"earlier": np.array([1.0])}, "earlier Fisher"),
        ({"earlier": np.array([1.0, 1.0]), "decay": 1.5}, "outside"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        hold(torch.zeros(2), **{"strength": 1.0, "fisher": np.ones(2), **arguments})
