"""Q-networks and their gradient step, compared with torch, with tables, and by identities."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.config import DQNConfig, QNetworkConfig
from agents.networks import arrays_of
from agents.perceptron import PlainQ
from agents.q_learning import QLearning, losses
from agents.q_network import GroupAttention, QNetwork

CPU = torch.device("cpu")
NETWORK = st.builds(
    QNetworkConfig,
    widths=st.lists(st.integers(1, 9), max_size=3),
    activation=st.sampled_from(["tanh", "relu"]),
)
CONFIG = st.builds(
    DQNConfig,
    double=st.booleans(),
    dueling=st.booleans(),
    loss=st.sampled_from(["huber", "squared"]),
    network=NETWORK,
    lr=st.just(1e-3),
    max_grad_norm=st.just(1e6),
)


def learner(config, seed=0, obs_size=4, actions=3):
    """Q-learning whose two networks are far from their first weights, and from each other."""
    rng = np.random.default_rng(seed)
    learning = QLearning(config, obs_size, actions, rng, CPU)
    for network in (learning.online, learning.target):
        for parameter in network.parameters():
            parameter.data += 0.5 * torch.from_numpy(rng.normal(size=tuple(parameter.shape)).astype(np.float32))
    return learning


def batch(rng, rows, obs_size=4, actions=3):
    f32 = lambda *shape: rng.normal(size=shape).astype(np.float32)  # noqa: E731
    return f32(rows, obs_size), rng.integers(actions, size=rows), 3 * f32(rows), np.abs(f32(rows))


@settings(max_examples=60)
@given(CONFIG, st.integers(0, 2**32 - 1), st.integers(1, 33), st.booleans())
def test_the_closed_form_equals_autograd(config, seed, rows, weighted):
    learning = learner(config, seed)
    inputs, actions, targets, weights = batch(np.random.default_rng(seed), rows)
    weights = weights if weighted else None
    td, q = learning._closed_form_gradient(inputs, actions, targets, weights)
    ours = learning.flat.parameter.grad.clone()
    expected_td, expected_q = learning._autograd_gradient(inputs, actions, targets, weights)
    np.testing.assert_allclose(td, expected_td, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(q, expected_q, rtol=1e-4, atol=1e-5)
    scale = float(learning.flat.parameter.grad.abs().max()) + 1e-6
    np.testing.assert_allclose(ours / scale, learning.flat.parameter.grad / scale, atol=2e-4)


@settings(max_examples=30)
@given(NETWORK, st.booleans(), st.integers(0, 99), st.integers(1, 40))
def test_a_snapshot_on_numpy_equals_torch(config, dueling, seed, rows):
    learning = learner(DQNConfig(network=config, dueling=dueling), seed)
    inputs = np.random.default_rng(seed).normal(size=(rows, 4)).astype(np.float32)
    plain = PlainQ.from_arrays(arrays_of(learning.online), 4, 3, config, dueling)
    np.testing.assert_allclose(plain.q_values(inputs), learning.online.q_values(inputs), rtol=1e-4, atol=1e-5)


def test_arrays_of_another_network_are_named():
    config = QNetworkConfig(widths=[4])
    arrays = arrays_of(QNetwork(5, 3, config, False, np.random.default_rng(0)))
    with pytest.raises(ValueError, match=r"head\.weight has shape \(3, 4\), expected \(4, 4\)"):
        PlainQ.from_arrays(arrays, 5, 3, config, True)
    with pytest.raises(ValueError, match=r"weights differ in \['body\.2\.bias'"):
        PlainQ.from_arrays(arrays, 5, 3, QNetworkConfig(widths=[4, 4]), False)


@settings(max_examples=30)
@given(CONFIG, st.integers(0, 99))
def test_double_equals_plain_where_both_networks_are_equal(config, seed):
    targets = []
    for double in (True, False):
        learning = learner(DQNConfig(double=double, dueling=config.dueling, network=config.network), seed)
        learning.sync(1.0)
        inputs, _, returns, discounts = batch(np.random.default_rng(seed), 20)
        targets.append(learning.targets(returns, discounts, inputs, learning.target_values.q_values(inputs)))
    np.testing.assert_array_equal(*targets)


def test_targets_by_hand():
    """Three transitions: a plain step, the end of a two-step return, and a termination."""
    returns, discounts = np.array([1.0, 1.9, -1.0], np.float32), np.array([0.9, 0.81, 0.0], np.float32)
    next_q = np.array([[2.0, 5.0], [4.0, 1.0], [7.0, 7.0]], np.float32)
    online = np.array([[3.0, 1.0], [0.0, 2.0], [1.0, 0.0]], np.float32)  # prefers the other one each time
    expected = {False: [1 + 0.9 * 5, 1.9 + 0.81 * 4, -1], True: [1 + 0.9 * 2, 1.9 + 0.81 * 1, -1]}
    for double, hand_worked in expected.items():
        learning = learner(DQNConfig(double=double), actions=2)
        learning.values = SimpleNamespace(q_values=lambda _: online)
        np.testing.assert_allclose(
            learning.targets(returns, discounts, np.zeros((3, 4)), next_q), hand_worked, rtol=1e-6
        )


@settings(max_examples=30)
@given(NETWORK, st.integers(0, 99))
def test_dueling_advantages_have_a_mean_of_zero(config, seed):
    learning = learner(DQNConfig(dueling=True, network=config), seed)
    inputs = np.random.default_rng(seed).normal(size=(9, 4)).astype(np.float32)
    with torch.no_grad():
        value = learning.online.head(learning.online.body(torch.from_numpy(inputs)))[:, -1].numpy()
    for q in (learning.online.q_values(inputs), learning.values.q_values(inputs)):
        advantages = q - value[:, None]
        np.testing.assert_allclose(advantages.mean(axis=1), 0.0, atol=1e-4)
        assert np.abs(advantages).max() > 1e-6


def test_losses_are_torchs():
    td = np.linspace(-3, 3, 41).astype(np.float32)
    zero = torch.zeros(41)
    expected = torch.nn.functional.huber_loss(torch.from_numpy(td), zero, reduction="none")
    np.testing.assert_allclose(losses(td, "huber"), expected, atol=1e-6)
    np.testing.assert_allclose(losses(td, "squared"), td**2 / 2, atol=1e-6)


def test_the_target_network_follows_by_tau():
    learning = learner(DQNConfig())
    before, online = learning._flat_target.parameter.detach().clone(), learning.flat.parameter.detach().clone()
    learning.sync(0.25)
    torch.testing.assert_close(learning._flat_target.parameter.detach(), 0.75 * before + 0.25 * online)
    learning.sync(1.0)
    assert torch.equal(learning._flat_target.parameter, learning.flat.parameter)
    inputs = np.ones((2, 4), np.float32)  # what is read is what was written
    np.testing.assert_array_equal(learning.target_values.q_values(inputs), learning.values.q_values(inputs))


def test_a_step_goes_down_and_is_clipped():
    learning = learner(DQNConfig(max_grad_norm=0.5, lr=1e-3, network=QNetworkConfig(widths=[16])))
    rows = batch(np.random.default_rng(1), 32)
    first = losses(learning.step(*rows[:3], None)[0], "huber").mean()
    assert float(learning.flat.parameter.grad.norm()) <= 0.5 + 1e-4
    for _ in range(300):
        td, _, norm = learning.step(*rows[:3], None)
    assert losses(td, "huber").mean() < 0.6 * first
    assert norm > 0


def test_attention_is_torchs():
    """One group's block against `torch.nn.MultiheadAttention` with the same weights."""
    config = QNetworkConfig(groups=[2, 3, 1], group_width=8, heads=2)
    attention = GroupAttention(config, np.random.default_rng(0))
    reference = torch.nn.MultiheadAttention(8, 2, batch_first=True)
    with torch.no_grad():
        for parameter in attention.parameters():
            parameter += 0.3 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(0))
        reference.in_proj_weight.copy_(
            torch.cat([layer.weight for layer in (attention.query, attention.key, attention.value)])
        )
        reference.in_proj_bias.copy_(
            torch.cat([layer.bias for layer in (attention.query, attention.key, attention.value)])
        )
        reference.out_proj.load_state_dict(attention.out.state_dict())
        obs = torch.randn(5, 6, generator=torch.Generator().manual_seed(1))
        tokens = torch.stack([layer(obs[:, part]) for layer, part in zip(attention.tokens, PARTS, strict=True)], dim=1)
        normed = attention.norm(tokens)
        expected = tokens + reference(normed, normed, normed)[0]
        torch.testing.assert_close(attention(obs), expected.flatten(1))


PARTS = (slice(0, 2), slice(2, 5), slice(5, 6))


def test_a_network_with_groups_learns_by_autograd():
    config = DQNConfig(lr=3e-3, network=QNetworkConfig(groups=[1, 3], group_width=8, heads=2, widths=[16]))
    learning = QLearning(config, 4, 3, np.random.default_rng(0), CPU)
    assert learning.values is learning.online
    inputs, actions, targets, _ = batch(np.random.default_rng(1), 32)
    first = np.abs(learning.step(inputs, actions, targets, None)[0]).mean()
    for _ in range(200):
        td = learning.step(inputs, actions, targets, None)[0]
    assert np.abs(td).mean() < 0.5 * first
