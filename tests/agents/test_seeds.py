"""Agents that are trained in step, against the same agents alone."""

from dataclasses import replace

import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

from agents.config import A2CConfig, NetworkConfig, PPOConfig
from agents.seeds import Seeds
from tests.agents.environments import BOX, MIXED, Scripted, Walk, build, everything

PPO = PPOConfig(n_envs=4, n_steps=16, batch_size=20, n_epochs=2, ent_coef=0.01, lr=1e-2)
A2C = A2CConfig(n_envs=4, lr=1e-2)
NORMALISED = {"normalize_obs": True, "normalize_reward": True, "normalize_return": True}
CASES = {
    "ppo": PPO,
    "ppo, normalised": replace(PPO, clip_range_vf=0.2, **NORMALISED),
    "ppo, large products": replace(
        PPO, n_steps=256, batch_size=600, network=NetworkConfig(widths=[64, 64, 17], activation="relu")
    ),
    "ppo, no hidden layer": replace(PPO, network=NetworkConfig(widths=[])),
    "ppo, one by one": replace(PPO, target_kl=0.01),
    "ppo, autograd": replace(PPO, network=NetworkConfig(norm="layer")),
    "a2c": A2C,
    "a2c, normalised": replace(A2C, ent_coef=0.1, normalize_advantage=True, optimizer="adam"),
}


def agents_of(config, env=Walk):
    return [build(config, env(config.n_envs), seed) for seed in range(3)]


@pytest.mark.parametrize("case", CASES)
def test_each_seed_has_the_bytes_that_it_has_alone(case):
    alone, together = agents_of(CASES[case]), agents_of(CASES[case])
    seeds = Seeds(together)
    for iteration in range(4):
        training = slice(0, 3 if iteration < 2 else 2)  # the last seed ends early
        rows = seeds.iterate(together[training])
        for row, agent in zip(rows, alone[training], strict=True):
            np.testing.assert_equal(row, agent.iterate())
    for one, other in zip(alone, together, strict=True):
        assert everything(one) == everything(other)


def test_continuous_actions_are_learned_one_by_one():
    alone, together = (agents_of(PPO, lambda count: Walk(count, BOX)) for _ in range(2))
    rows = Seeds(together).iterate(together)
    for row, agent in zip(rows, alone, strict=True):
        np.testing.assert_equal(row, agent.iterate())


@pytest.mark.parametrize("config", [PPO, A2C])
def test_rollouts_of_different_sizes(config):
    scripts = [MIXED, MIXED[1:], [(2, True, False)]]
    alone, together = (
        [
            build(config, Scripted(AutoresetMode.NEXT_STEP, config.n_envs, script), seed)
            for seed, script in enumerate(scripts)
        ]
        for _ in range(2)
    )
    seeds = Seeds(together)
    for _ in range(3):
        rows = seeds.iterate(together)
        for row, agent in zip(rows, alone, strict=True):
            np.testing.assert_equal(row, agent.iterate())
    assert len({agent.env_steps for agent in together}) > 1


def test_a_seed_that_fails_does_not_end_the_others():
    alone, together = agents_of(PPO), agents_of(PPO)
    step = together[1].envs.step
    together[1].envs.step = lambda actions: (step(actions)[0], np.full(4, np.nan), *step(actions)[2:])
    first, second, third = Seeds(together).iterate(together)
    assert isinstance(second, FloatingPointError)
    np.testing.assert_equal(first, alone[0].iterate())
    np.testing.assert_equal(third, alone[2].iterate())
