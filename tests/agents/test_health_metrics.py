"""The health metrics of training: against torch, and on networks that are known to be ill."""

import gymnasium as gym
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from torch.distributions import Categorical, Normal, kl_divergence

from agents.collect import Rollout
from agents.config import NetworkConfig
from agents.health_metrics import NAMES, HealthMetrics, autocorrelations, mean_kl, modal_share
from agents.networks import ActorCritic


def rollout(rewards, inputs=None, done=None, valid=None, parameters=None):
    rewards = np.asarray(rewards, np.float32)
    inputs = np.zeros((*rewards.shape, 2), np.float32) if inputs is None else inputs
    done = np.zeros(rewards.shape, bool) if done is None else done
    parameters = np.zeros((*rewards.shape, 3), np.float32) if parameters is None else parameters
    return Rollout(
        obs=inputs, inputs=inputs, parameters=parameters, actions=np.zeros(rewards.shape, int), rewards=rewards,
        terminated=done, truncated=np.zeros(rewards.shape, bool), next_obs=inputs[-1], final_obs=inputs[:0, 0],
        valid=valid, reward_terms={},
    )  # fmt: skip


LOGITS = hnp.arrays(np.float32, (5, 3), elements=st.floats(-5, 5, width=32))


@settings(max_examples=30)
@given(LOGITS, LOGITS)
def test_kl_of_logits_is_torchs(p, q):
    expected = kl_divergence(Categorical(logits=torch.tensor(p)), Categorical(logits=torch.tensor(q))).mean()
    assert mean_kl({"parameters": p}, {"parameters": q}) == pytest.approx(float(expected), abs=1e-5)
    assert mean_kl({"parameters": p}, {"parameters": p}) == pytest.approx(0, abs=1e-6)


@settings(max_examples=30)
@given(LOGITS, LOGITS, hnp.arrays(np.float32, (2, 3), elements=st.floats(-1, 1, width=32)))
def test_kl_of_gaussians_is_torchs(p, q, log_std):
    first, second = (
        Normal(torch.tensor(p), torch.tensor(log_std[0]).exp()),
        Normal(torch.tensor(q), torch.tensor(log_std[1]).exp()),
    )
    expected = kl_divergence(first, second).sum(dim=1).mean()
    ours = mean_kl({"parameters": p, "log_std": log_std[0]}, {"parameters": q, "log_std": log_std[1]})
    assert ours == pytest.approx(float(expected), rel=1e-4, abs=1e-4)


def test_the_share_of_the_modal_action():
    assert modal_share(np.eye(3)[[0, 0, 0, 2]]) == 0.75


def test_autocorrelation_of_what_stays_and_of_what_is_drawn_anew():
    rng = np.random.default_rng(0)
    constant = np.broadcast_to(rng.normal(size=200), (50, 200))
    assert autocorrelations(rollout(constant))[0] == pytest.approx(1.0)
    assert autocorrelations(rollout(rng.normal(size=(50, 200))))[0] == pytest.approx(0.0, abs=0.03)
    walk = np.cumsum(rng.normal(size=(50, 8, 2)), axis=0).astype(np.float32)
    assert autocorrelations(rollout(np.zeros((50, 8)), inputs=walk))[1] > 0.8


def test_autocorrelation_does_not_look_across_episodes_or_at_resets():
    rewards = np.tile([[0.0], [1.0]], (20, 4))  # within an episode always 0 and then 1: correlation −1
    ends = np.tile([[False], [True]], (20, 4))
    assert autocorrelations(rollout(rewards, done=ends))[0] == pytest.approx(-1.0)
    valid = np.zeros(rewards.shape, bool)
    valid[::2] = True  # no two transitions in a row
    assert np.isnan(autocorrelations(rollout(rewards, valid=valid))[0])


def measured(network, steps=64, before=None):
    """One measurement around an update, which is `before(network)`."""
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(steps, 4, 2)).astype(np.float32)
    with torch.no_grad():
        parameters = network.parameters_of_actions(torch.from_numpy(inputs)).numpy()
    health = HealthMetrics(network, lambda obs: obs, total_steps=1)
    health.before_update(rollout(rng.normal(size=(steps, 4)), inputs=inputs, parameters=parameters), 0)
    health.add_gradient(torch.tensor([3.0, 4.0]))
    if before:
        before(network)
    return health, health.after_update()


def network(activation="relu"):
    config = NetworkConfig(widths=(16, 16), activation=activation)
    return ActorCritic(2, gym.spaces.Discrete(3), config, np.random.default_rng(0))


def test_a_measurement_of_a_healthy_update():
    def move(net):
        net.actor_head.bias.data[0] += 1.0

    _, row = measured(network(), before=move)
    assert tuple(row) == NAMES
    assert row["grad_norm"] == 5.0
    assert row["stale_kl"] == pytest.approx(0, abs=1e-7)
    assert row["behaviour_kl"] == pytest.approx(row["initial_kl"])
    assert row["behaviour_kl"] > 0.1
    assert row["repeated"] == 0
    assert row["dormant_share"] < 0.5
    assert np.isnan(row["saturated_share"])  # ReLU


def test_dead_and_saturated_units_are_counted():
    def kill(net):
        net.actor_body[2].bias.data.fill_(-1000.0)

    assert measured(network(), before=kill)[1]["dormant_share"] >= 0.25  # one of four layers

    def drive(net):
        for layer in (net.actor_body[0], net.critic_body[0]):
            layer.bias.data.fill_(50.0)

    assert measured(network("tanh"), before=drive)[1]["saturated_share"] >= 0.5


def test_a_buffer_that_stays_is_seen_and_what_is_not_due_is_nan():
    net = network()
    data = rollout(np.random.default_rng(0).normal(size=(64, 4)))
    health = HealthMetrics(net, lambda obs: obs, total_steps=2000)  # a measurement each 100 env steps
    rows = []
    for env_steps in (0, 50, 100):
        health.before_update(data, env_steps)
        rows.append(health.after_update())
    assert [row["repeated"] for row in (rows[0], rows[2])] == [0.0, 1.0]
    assert all(np.isnan(value) for value in rows[1].values())


def test_measuring_goes_on_where_it_was():
    health, _ = measured(network())
    arrays, meta = health.state()
    other = HealthMetrics(network(), lambda obs: obs, total_steps=1)
    other.load_state(arrays, meta)
    again, again_meta = other.state()
    assert again_meta == meta
    assert again.keys() == arrays.keys()
    assert all(np.array_equal(again[name], arrays[name]) for name in arrays)
    assert HealthMetrics(network(), lambda obs: obs, 1).state()[0] == {}  # before the first iteration
