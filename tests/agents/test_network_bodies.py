"""Registered network bodies: learning by autograd, first weights, state, snapshots, and what is refused."""

import copy
import json
from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import agents
from agents import policy, q_policy, register_body
from agents.config import A2CConfig, DQNConfig, NetworkConfig, PPOConfig, QNetworkConfig
from agents.network_bodies import registered_body
from agents.networks import ActorCritic, arrays_of, load_arrays
from agents.q_network import QNetwork
from tests.agents.environments import BOX, DISCRETE, Walk, build, everything


class Residual(nn.Module):
    """A body with everything that has a state: first weights, running statistics, and dropout."""

    def __init__(self, inputs, hidden=4, dropout=0.3):
        super().__init__()
        self.first = nn.Linear(inputs, hidden)
        self.norm = nn.BatchNorm1d(hidden)
        self.dropout = nn.Dropout(dropout)

    def forward(self, obs):
        hidden = torch.tanh(self.norm(self.first(obs)))
        return torch.cat([obs, self.dropout(hidden)], dim=1)


def perceptron(inputs, widths=(5,), activation="tanh"):
    """What `networks.body` makes, with the same names of weights."""
    layers = []
    for width in widths:
        layers += [nn.Linear(inputs, width), {"tanh": nn.Tanh, "relu": nn.ReLU}[activation]()]
        inputs = width
    return nn.Sequential(*layers)


class Fails(nn.Module):
    def __init__(self, inputs):
        super().__init__()
        raise RuntimeError("no\nroom")


BODIES = {
    "residual": Residual,
    "perceptron": f"{__name__}:perceptron",
    "fails": Fails,
    "flat": lambda inputs: nn.Flatten(0),
    "no_module": lambda inputs: lambda obs: obs,
    "double": lambda inputs: nn.Linear(inputs, 2).double(),
    "identity": lambda inputs: nn.Identity(),
}


@pytest.fixture(autouse=True, scope="module")
def registered():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(agents, "BODIES", {})
        for name, body in BODIES.items():
            register_body(name, body)
        yield


RESIDUAL = {"body": "residual", "body_kwargs": {"hidden": 3}}
SMALL_DQN = {"batch_size": 8, "buffer_size": 200, "learning_starts": 20, "target_every": 10, "n_envs": 4}


def on_policy_cases():
    network = NetworkConfig(**RESIDUAL)
    return {
        "ppo": PPOConfig(n_envs=4, n_steps=8, batch_size=8, n_epochs=2, network=network),
        "ppo-shared": PPOConfig(n_envs=4, n_steps=8, batch_size=8, n_epochs=2, network=replace(network, shared=True)),
        "a2c": A2CConfig(n_envs=4, n_steps=5, network=network),
    }


def dqn_cases():
    network = QNetworkConfig(**RESIDUAL)
    return {
        "dqn": DQNConfig(**SMALL_DQN, network=network),
        "dqn-soft": DQNConfig(**SMALL_DQN, target="soft", dueling=True, network=network),
        "dqn-groups": DQNConfig(**SMALL_DQN, network=replace(network, groups=[1, 1], group_width=4, heads=2)),
    }


def config_of(case):
    return {**on_policy_cases(), **dqn_cases()}[case]


CASES = ("ppo", "ppo-shared", "a2c", "dqn", "dqn-soft", "dqn-groups")


def started(case, seed=0, space=DISCRETE):
    agent = build(config_of(case), Walk(action_space=space), seed)
    if case.startswith("dqn"):
        agent._rounds = 3
    return agent


def network_of(agent):
    return agent.learner.online if hasattr(agent, "learner") else agent.network


# -- learning ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES)
def test_every_weight_of_the_body_and_of_the_heads_learns(case):
    agent = started(case)
    before = arrays_of(network_of(agent))
    for _ in range(3):
        agent.iterate()
    after = arrays_of(network_of(agent))
    # The gradient of a bias before batch norm is 0.
    unchanged = {
        name for name in before if np.array_equal(before[name], after[name]) and not name.endswith("first.bias")
    }
    assert not unchanged
    assert any(name.endswith("norm.running_mean") for name in after)


def test_actor_and_critic_have_bodies_of_their_own_or_share_one():
    network = started("ppo").network
    obs = torch.randn(16, 2, generator=torch.Generator().manual_seed(0))
    network.values(obs).sum().backward()
    assert all(p.grad.abs().sum() == 0 for p in network.actor_body.parameters())
    assert network.critic_body.first.weight.grad.abs().sum() > 0
    assert not torch.equal(network.actor_body.first.weight, network.critic_body.first.weight)
    shared = started("ppo-shared").network
    assert shared.actor_body is shared.critic_body
    assert not any(name.startswith("critic_body") for name in arrays_of(shared))


@settings(max_examples=15)
@given(widths=st.lists(st.integers(1, 9), max_size=2), activation=st.sampled_from(["tanh", "relu"]))
def test_a_copy_of_our_hidden_layers_learns_as_they_do(widths, activation):
    """By autograd, where our own layers have a gradient that is written out."""
    layers = {"widths": widths, "activation": activation}
    copied = {"body": "perceptron", "body_kwargs": layers}
    common = {"n_envs": 4, "n_steps": 8, "batch_size": 8, "n_epochs": 2, "max_grad_norm": 100.0, "ent_coef": 0.01}
    ours = build(PPOConfig(**common, network=NetworkConfig(**layers)), Walk())
    theirs = build(PPOConfig(**common, network=NetworkConfig(**copied)), Walk())
    assert ours.closed_form is not None
    assert theirs.closed_form is None
    load_arrays(theirs.network, arrays_of(ours.network))
    assert_equal_learning(ours, theirs, ours.network, theirs.network)

    ours = build(DQNConfig(**SMALL_DQN, network=QNetworkConfig(**layers)), Walk())
    theirs = build(DQNConfig(**SMALL_DQN, network=QNetworkConfig(**copied)), Walk())
    assert ours.learner.values is not ours.learner.online
    assert theirs.learner.values is theirs.learner.online
    load_arrays(theirs.learner.online, arrays_of(ours.learner.online))
    theirs.learner.sync(1.0)
    ours._rounds = theirs._rounds = 6
    assert_equal_learning(ours, theirs, ours.learner.online, theirs.learner.online)


def assert_equal_learning(ours, theirs, our_network, their_network):
    first = arrays_of(our_network)
    rows = [ours.iterate(), theirs.iterate()]
    assert ours.gradient_steps == theirs.gradient_steps > 0
    assert rows[0]["value_loss"] == pytest.approx(rows[1]["value_loss"], rel=1e-3)
    left, right = arrays_of(our_network), arrays_of(their_network)
    assert any(not np.array_equal(first[name], left[name]) for name in left)
    for name in left:
        np.testing.assert_allclose(left[name], right[name], atol=2e-4, err_msg=name)


def test_a_target_network_gets_the_running_statistics_too():
    agent = started("dqn")
    for _ in range(3):
        agent.iterate()
    learner = agent.learner
    assert learner.online.body.norm.num_batches_tracked == agent.gradient_steps > 0
    learner.sync(1.0)
    online, target = arrays_of(learner.online), arrays_of(learner.target)
    assert online.keys() == target.keys()
    assert all(np.array_equal(online[name], target[name]) for name in online)


# -- first weights, random numbers, state ------------------------------------------------------------------------------


def test_first_weights_come_from_the_generator_and_torchs_own_goes_on():
    torch.manual_seed(7)
    state = torch.get_rng_state()
    weights = [registered_body("residual", {}, 2, np.random.default_rng(seed))[0].first.weight for seed in (1, 1, 2)]
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


@settings(max_examples=20)
@given(hidden=st.integers(1, 20), inputs=st.integers(1, 6), actions=st.integers(1, 4), dueling=st.booleans())
def test_orthogonal_heads_of_ours_follow_whatever_the_body_gives(hidden, inputs, actions, dueling):
    chosen = {"body": "residual", "body_kwargs": {"hidden": hidden}}
    rng = np.random.default_rng(0)
    network = ActorCritic(inputs, gym.spaces.Discrete(actions), NetworkConfig(**chosen), rng)
    q_network = QNetwork(inputs, actions, QNetworkConfig(**chosen), dueling, rng)
    heads = {
        network.actor_head: (actions, 0.01),
        network.critic_head: (1, 1.0),
        q_network.head: (actions + dueling, 0.01),
    }
    for head, (outputs, gain) in heads.items():
        assert head.weight.shape == (outputs, inputs + hidden)
        rows = head.weight if outputs <= inputs + hidden else head.weight.T
        torch.testing.assert_close(rows @ rows.T, gain**2 * torch.eye(len(rows)), atol=1e-6, rtol=0)


@pytest.mark.parametrize("case", CASES)
def test_same_seed_same_bytes_and_another_seed_others(case):
    runs = []
    for seed in (3, 3, 4):
        agent = started(case, seed)
        rows = [agent.iterate() for _ in range(2)]
        runs.append((repr(rows), everything(agent)))
    assert runs[0] == runs[1]
    assert runs[0][0] != runs[2][0]


@pytest.mark.parametrize("case", CASES)
def test_state_restores_to_the_bit(case):
    first = started(case)
    for _ in range(3):
        first.iterate()
    arrays, meta = copy.deepcopy(first.state())
    envs = copy.deepcopy(first.envs)
    rows = [first.iterate() for _ in range(3)]
    second = started(case, seed=99)
    second.iterate()
    torch.rand(7)  # somebody else draws
    second.envs = envs
    second.load_state(arrays, meta)
    assert repr([second.iterate() for _ in range(3)]) == repr(rows)
    assert everything(second) == everything(first)


def test_only_a_registered_body_changes_what_dqn_draws_and_keeps():
    plain = build(DQNConfig(**SMALL_DQN), Walk())
    assert "torch_rng" not in plain.state()[0]
    assert "torch_rng" in started("dqn").state()[0]


# -- snapshots ---------------------------------------------------------------------------------------------------------


def loaded(agent):
    arrays, meta = agent.policy_checkpoint()
    return agents.AGENTS[agent.config.name].load_policy(arrays, json.loads(json.dumps(meta)))


@pytest.mark.parametrize("case", CASES)
def test_a_snapshot_holds_the_body_and_acts_as_the_agent(case):
    agent = started(case)
    agent.iterate()
    arrays, meta = agent.policy_checkpoint()
    body = "body" if case.startswith("dqn") else "actor_body"
    assert {f"network.{body}.{name}" for name in ("first.weight", "first.bias", "norm.running_var")} <= arrays.keys()
    assert (meta["network"]["body"], meta["network"]["body_kwargs"]) == ("residual", {"hidden": 3})
    obs = np.random.default_rng(0).normal(size=(9, 2)).astype(np.float32)
    acting, network = loaded(agent), network_of(agent)
    if case.startswith("dqn"):
        np.testing.assert_allclose(acting.q_values(obs), network.q_values(obs), rtol=1e-5, atol=1e-7)
    else:
        with torch.inference_mode():
            logits = network.parameters_of_actions(torch.from_numpy(obs)).numpy()
        np.testing.assert_array_equal(
            acting.act(obs, greedy=True), policy.to_environment(logits.argmax(axis=1), DISCRETE)
        )
        values = network.values(torch.from_numpy(obs)).detach().numpy()
        np.testing.assert_allclose(acting.values(obs), values, rtol=1e-4, atol=1e-6)


def test_a_gaussian_policy_has_a_body_too():
    agent = started("ppo", space=BOX)
    agent.iterate()
    assert loaded(agent).act(np.zeros((3, 2), np.float32), greedy=True).shape == (3, *BOX.shape)


@pytest.mark.parametrize("case", CASES)
def test_another_run_starts_from_the_weights(case):
    first = started(case)
    first.iterate()
    arrays, meta = first.policy_checkpoint()
    second = started(case, seed=5)
    second.initialize(arrays, meta)
    taken_over = arrays_of(network_of(second))
    assert all(np.array_equal(taken_over[name], array) for name, array in arrays_of(network_of(first)).items())
    config = config_of(case)
    wider = replace(config, network=replace(config.network, body_kwargs={"hidden": 6}))
    with pytest.raises(ValueError, match="has shape"):
        build(wider, Walk()).initialize(arrays, meta)


@pytest.mark.parametrize("case", ["ppo", "dqn"])
def test_a_snapshot_needs_what_registers_its_body(case, monkeypatch):
    arrays, meta = started(case).policy_checkpoint()
    monkeypatch.setattr(agents, "BODIES", {})
    load = q_policy.load if case == "dqn" else policy.load
    with pytest.raises(ValueError, match=r"no network body 'residual' \(none is registered\).*plugins=\["):
        load(arrays, meta)


@pytest.mark.parametrize("case", ["ppo", "dqn"])
def test_a_registered_body_is_not_exported(case):
    pytest.importorskip("onnx")
    arrays, meta = started(case).policy_checkpoint()
    with pytest.raises(ValueError, match="has the body 'residual' of a plugin"):
        agents.AGENTS[case].to_onnx(arrays, meta, {})


# -- what is refused ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [NetworkConfig, QNetworkConfig])
def test_a_config_names_a_registered_body_and_arguments_for_one(make):
    assert make(body="residual", body_kwargs={"hidden": 2}).body == "residual"
    with pytest.raises(ValueError, match=r"no network body 'other' \(registered are residual, "):
        make(body="other")
    with pytest.raises(ValueError, match="need a body: set body too"):
        make(body_kwargs={"hidden": 2})
    for wrong in (float("nan"), object()):
        with pytest.raises(ValueError, match="not plain JSON"):
            make(body="residual", body_kwargs={"hidden": wrong})


REFUSED = {
    "fails": (r"'fails' cannot be used \(RuntimeError: no room\)", {}),
    "flat": (r"'flat' .* \[B, 2\] to \[B, F\].*\[4\]", {}),
    "no_module": ("'no_module' .*AttributeError", {}),
    "double": ("'double' cannot be used", {}),
    "residual": (r"'residual' .*TypeError.*widths", {"widths": [3]}),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_body_that_cannot_be_used_is_one_sentence(name):
    message, kwargs = REFUSED[name]
    for config in (
        PPOConfig(network=NetworkConfig(body=name, body_kwargs=kwargs)),
        DQNConfig(network=QNetworkConfig(body=name, body_kwargs=kwargs)),
    ):
        with pytest.raises(ValueError, match=message) as error:
            build(config, Walk())
        assert "\n" not in str(error.value)
        with pytest.raises(ValueError, match=message):  # and before anything is built
            config.check(Walk().single_observation_space, DISCRETE, None)


def test_a_body_without_weights_is_one():
    agent = build(PPOConfig(n_steps=8, batch_size=8, network=NetworkConfig(body="identity")), Walk(8))
    row = agent.iterate()
    assert np.isfinite(row["value_loss"])
    assert np.isnan(row["dormant_share"])  # it has no hidden units


def test_units_of_a_registered_body_are_measured():
    config = NetworkConfig(body="perceptron", body_kwargs={"widths": [6]})
    agent = build(PPOConfig(n_steps=8, batch_size=8, network=config), Walk(8))
    row = agent.iterate()
    assert 0 <= row["dormant_share"] <= 1
    assert 0 <= row["saturated_share"] <= 1


def test_a_name_belongs_to_one_body():
    register_body("residual", Residual)
    with pytest.raises(ValueError, match="'residual' is registered twice"):
        register_body("residual", perceptron)
