"""Collection, updates, state and snapshots of PPO and A2C."""

import copy

import gymnasium as gym
import numpy as np
import pytest
import torch

from agents import policy
from agents.collect import collect, next_values
from agents.config import A2CConfig, NetworkConfig, PPOConfig
from agents.episode_log import EpisodeLog
from agents.networks import ActorCritic
from tests.agents.environments import BOX, DISCRETE, Walk, build, everything

EVERYTHING = {
    "normalize_obs": True,
    "normalize_reward": True,
    "normalize_return": True,
    "lr_schedule": "linear",
    "ent_coef": 0.01,
}
CASES = {
    "ppo": PPOConfig(n_envs=4, n_steps=8, batch_size=8, n_epochs=2, clip_range_vf=0.2, **EVERYTHING),
    "ppo-target-kl": PPOConfig(n_envs=4, n_steps=8, batch_size=8, n_epochs=9, target_kl=1e-4),
    "ppo-norms": PPOConfig(
        n_envs=4, n_steps=8, batch_size=10, network=NetworkConfig(norm="batch", dropout=0.2, shared=True)
    ),
    "a2c": A2CConfig(n_envs=4, n_steps=5, **EVERYTHING),
    "a2c-adam": A2CConfig(n_envs=4, optimizer="adam", network=NetworkConfig(norm="layer", activation="silu")),
}


@pytest.mark.parametrize("space", [DISCRETE, BOX], ids=["discrete", "box"])
@pytest.mark.parametrize("config", CASES.values(), ids=CASES.keys())
def test_state_restores_to_the_bit(config, space):
    first = build(config, Walk(action_space=space))
    for _ in range(3):
        first.iterate()
    arrays, meta = copy.deepcopy(first.state())
    envs = copy.deepcopy(first.envs)
    rows = [first.iterate() for _ in range(3)]
    second = build(config, Walk(action_space=space), seed=99)
    second.iterate()
    torch.rand(7)  # somebody else draws
    second.envs = envs
    second.load_state(arrays, meta)
    assert repr([second.iterate() for _ in range(3)]) == repr(rows)
    assert everything(second) == everything(first)


@pytest.mark.parametrize("config", CASES.values(), ids=CASES.keys())
def test_same_seed_same_bytes_and_another_seed_others(config):
    runs = []
    for seed in (3, 3, 4):
        agent = build(config, Walk(), seed)
        rows = [agent.iterate() for _ in range(2)]
        runs.append((repr(rows), everything(agent)))
    assert runs[0] == runs[1]
    assert runs[0][0] != runs[2][0]


def test_counters_are_real():
    agent = build(CASES["ppo"], Walk())
    for _ in range(5):
        agent.iterate()
    assert agent.env_steps == 5 * 4 * 8
    assert agent.gradient_steps == 5 * 2 * 4
    assert agent.training_epochs == 5 * 2
    log = agent.log
    assert log.steps_finished + log.running_length.sum() == agent.env_steps
    agent.start([1] * 4, cut=True)
    assert log.steps_finished + log.steps_cut == agent.env_steps
    assert log.running_length.sum() == 0


def test_target_kl_ends_the_epochs():
    agent = build(CASES["ppo-target-kl"], Walk())
    agent.iterate()
    assert agent.training_epochs < 9


def test_a_remainder_joins_the_last_minibatch():
    config = PPOConfig(n_envs=4, n_steps=8, batch_size=10, n_epochs=1)  # 32 rows: 10, 10, 12
    agent = build(config, Walk())
    sizes = []
    gradient = agent.closed_form.ppo_gradient
    agent.closed_form.ppo_gradient = lambda rows, *rest: (sizes.append(len(rows.obs)), gradient(rows, *rest))[1]
    agent.iterate()
    assert sizes == [10, 10, 12]


def test_every_key_of_the_metrics_is_there_and_terms_are_logged():
    row = build(CASES["ppo"], Walk()).iterate()
    assert {"policy_loss", "value_loss", "entropy", "approx_kl", "clip_fraction", "explained_variance", "lr"} <= set(
        row
    )
    assert np.isfinite(row["reward/centre"])
    assert sum(row[f"action/{a}"] for a in range(3)) == pytest.approx(1.0)


def test_a_truncation_bootstraps_with_the_observation_it_ended_on():
    envs = Walk()
    envs.reset(seed=1)
    log = EpisodeLog.start(4)

    def act(obs, noise, mask):
        return obs, np.zeros((4, 3), np.float32), np.zeros(4, int), np.full(4, 6)

    rollout = collect(envs, envs._obs(), act, np.zeros((9, 4, 3)), log)
    assert not (rollout.truncated & rollout.terminated).any()
    assert len(rollout.final_obs) == rollout.truncated.sum() > 0
    assert (rollout.final_obs[:, 1] == 7).all()  # the seventh step, not the first of the next episode
    values = np.arange(36.0).reshape(9, 4)
    final = np.full(len(rollout.final_obs), 1000.0)
    after = next_values(rollout, values, np.full(4, 500.0), final)
    assert (after[rollout.truncated] == 1000).all()
    assert (after[rollout.terminated] == 0).all()
    assert (after[-1][~rollout.done[-1]] == 500).all()
    inside = ~rollout.done[:-1]
    assert (after[:-1][inside] == values[1:][inside]).all()


def test_a_reward_that_is_not_finite_stops_training():
    envs = Walk()
    agent = build(CASES["a2c"], envs)
    envs.position[2] = np.nan
    with pytest.raises(FloatingPointError, match="rewards"):
        agent.iterate()


@pytest.mark.parametrize("space", [DISCRETE, BOX], ids=["discrete", "box"])
def test_a_snapshot_acts_as_the_agent_did(space):
    agent = build(CASES["ppo"], Walk(action_space=space))
    for _ in range(3):
        agent.iterate()
    loaded = policy.load(*agent.policy_checkpoint())
    obs = np.random.default_rng(0).normal(size=(50, 2)).astype(np.float32)
    with torch.inference_mode():
        expected = agent.network.parameters_of_actions(torch.from_numpy(agent.inputs(obs))).numpy()
    actions = loaded.act(obs, greedy=True)
    if space is DISCRETE:
        np.testing.assert_array_equal(actions, expected.argmax(1) + 5)
        np.testing.assert_allclose(loaded.probabilities(obs).sum(1), 1, rtol=1e-6)
        sampled = np.concatenate([loaded.act(np.repeat(obs[:1], 4000, 0), greedy=False)])
        shares = np.bincount(sampled - 5, minlength=3) / 4000
        np.testing.assert_allclose(shares, loaded.probabilities(obs[:1])[0], atol=0.04)
    else:
        np.testing.assert_allclose(actions, np.clip(expected, space.low, space.high), rtol=1e-6)
        assert not np.array_equal(loaded.act(obs, greedy=False), actions)
    assert loaded.values(obs).shape == (50,)


def test_distributions_agree_with_torch():
    rng = np.random.default_rng(0)
    parameters = torch.from_numpy(rng.normal(size=(20, 2)).astype(np.float32))
    discrete = ActorCritic(2, gym.spaces.Discrete(2), NetworkConfig(), rng)
    actions = torch.from_numpy(rng.integers(0, 2, 20))
    peer = torch.distributions.Categorical(logits=parameters)
    for actual, expected in zip(
        discrete.log_prob_and_entropy(parameters, actions), (peer.log_prob(actions), peer.entropy()), strict=True
    ):
        torch.testing.assert_close(actual, expected)
    box = ActorCritic(2, BOX, NetworkConfig(), rng, log_std_init=-0.7)
    moves = torch.from_numpy(rng.normal(size=(20, 2)).astype(np.float32))
    normal = torch.distributions.Normal(parameters, torch.full((2,), -0.7).exp())
    actual = box.log_prob_and_entropy(parameters, moves)
    torch.testing.assert_close(actual[0], normal.log_prob(moves).sum(-1))
    torch.testing.assert_close(actual[1], normal.entropy().sum(-1))


def test_a_batch_larger_than_the_rollout_is_refused():
    with pytest.raises(ValueError, match="batch_size=256 is larger than the 32 steps"):
        PPOConfig(n_envs=4, n_steps=8)
