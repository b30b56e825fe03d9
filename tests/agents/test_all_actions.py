"""PPO that learns from what every action would have earned."""

import copy

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from agents.config import NetworkConfig, PPOConfig
from agents.ppo import LOSSES
from tests.agents.environments import Walk, build

CONFIG = PPOConfig(
    n_envs=16, n_steps=8, batch_size=32, n_epochs=1, gamma=0.0, gae_lambda=0.0, lr=1e-2, ent_coef=0.1, all_actions=True
)
# What each action earns on average in each of two kinds of cases: the best one is 2 for the one, 1 for the other.
TABLE = np.array([[0.0, -1.0, 1.0], [0.2, 0.5, -1.0]], np.float32)


class Bandit(VectorEnv):
    """Independent cases of two kinds, seen through noise, which tell what each action would have earned."""

    def __init__(self, n_envs=16):
        self.num_envs, self.metadata = n_envs, {"autoreset_mode": AutoresetMode.SAME_STEP}
        self.single_observation_space = gym.spaces.Box(-9, 9, (2,), np.float32)
        self.single_action_space = gym.spaces.Discrete(3)
        self.observation_space = batch_space(self.single_observation_space, n_envs)
        self.action_space = batch_space(self.single_action_space, n_envs)

    def reset(self, *, seed=None, options=None):
        self.rng = np.random.default_rng(seed)
        return self._next(), {}

    def _next(self):
        self.kind = self.rng.integers(2, size=self.num_envs)
        noise = 0.1 * self.rng.standard_normal((self.num_envs, 2))
        return (np.stack([self.kind, 1 - self.kind], axis=1) + noise).astype(np.float32)

    def step(self, actions):
        self.rewards = TABLE[self.kind] + 0.1 * self.rng.standard_normal((self.num_envs, 3)).astype(np.float32)
        earned, over = self.rewards[np.arange(self.num_envs), actions], np.zeros(self.num_envs, bool)
        return self._next(), earned, over, over, {}

    def rewards_of_actions(self):
        return self.rewards


def best_actions(agent):
    return agent._inputs_and_parameters(np.array([[0, 1], [1, 0]], np.float32), None)[1].argmax(axis=1).tolist()


@pytest.mark.parametrize(
    "network",
    [NetworkConfig(), NetworkConfig(shared=True), NetworkConfig(shared=True, norm="layer")],
    ids=["closed form", "shared", "autograd"],
)
def test_it_learns_the_best_action_of_each_case(network):
    config = PPOConfig(**{**vars(CONFIG), "network": network})
    agent = build(config, Bandit(), 1)
    agent.start([1] * 16)
    rows = [agent.iterate() for _ in range(40)]
    assert best_actions(agent) == [2, 1]
    assert rows[-1]["policy_loss"] < -0.5 < rows[0]["policy_loss"]  # minus the expected reward; .75 is the most
    assert np.isfinite([rows[-1][name] for name in LOSSES]).all()


def test_its_policy_is_the_softmax_of_expected_rewards():
    """With entropy of weight tau the best policy is proportional to exp(E[r] / tau)."""
    config = PPOConfig(**{**vars(CONFIG), "ent_coef": 1.0, "lr_schedule": "linear"})
    agent = build(config, Bandit(), 1)
    agent.start([1] * 16)
    while agent.env_steps < agent.total_steps:
        agent.iterate()
    logits = agent._inputs_and_parameters(np.array([[0, 1], [1, 0]], np.float32), None)[1]
    difference = logits - TABLE
    np.testing.assert_allclose(difference - difference.mean(axis=1, keepdims=True), 0.0, atol=0.1)


def test_state_restores_to_the_bit():
    first, second = (build(CONFIG, Bandit(), seed) for seed in (1, 2))
    first.start([1] * 16)
    first.iterate()
    arrays, meta = copy.deepcopy(first.state())
    second.envs = copy.deepcopy(first.envs)
    rows = [first.iterate() for _ in range(2)]
    second.load_state(arrays, meta)
    assert repr([second.iterate() for _ in range(2)]) == repr(rows)


def test_steps_from_elsewhere_are_learned_from_by_the_chosen_action():
    agent = build(CONFIG, Bandit(), 1)
    agent.start([1] * 16)
    agent.iterate()
    before = agent.flat.parameter.detach().clone()
    rng, rows = np.random.default_rng(0), 128
    obs = rng.normal(size=(rows, 2)).astype(np.float32)
    never = np.zeros(rows, bool)
    row = agent.learn_from(
        {
            "obs": obs, "actions": rng.integers(3, size=rows), "rewards": rng.normal(size=rows), "terminated": never,
            "truncated": ~never, "next_obs": obs, "streams": np.arange(rows),
        }
    )  # fmt: skip
    assert np.isfinite(row["policy_loss"])
    assert not np.array_equal(before, agent.flat.parameter.detach())


def test_an_environment_that_does_not_tell_is_refused():
    with pytest.raises(ValueError, match=r"agent\.all_actions=true .* is not known"):
        build(CONFIG, Walk(16))


def test_what_follows_from_an_action_is_not_known():
    with pytest.raises(ValueError, match="set gamma to 0"):
        PPOConfig(all_actions=True, gamma=0.9)


def test_a_reward_that_is_not_finite_stops_training():
    envs = Bandit()
    agent = build(CONFIG, envs, 1)
    agent.start([1] * 16)
    envs.rewards_of_actions = lambda: np.full((16, 3), np.nan, np.float32)
    with pytest.raises(FloatingPointError, match="rewards_of_actions"):
        agent.iterate()
