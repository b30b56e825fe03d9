"""DQN: state that restores to the bit, equal seeds, and snapshots."""

import copy

import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

from agents import q_policy
from agents.config import DQNConfig, ReplayConfig
from tests.agents.environments import DISCRETE, MIXED, Scripted, Walk, build, everything
from tests.agents.small_dqn import CASES, SMALL, iterate


@pytest.mark.parametrize("storage", ["memory", "memmap"])
@pytest.mark.parametrize("config", CASES.values(), ids=CASES.keys())
def test_state_restores_to_the_bit(config, storage, tmp_path):
    config = DQNConfig(**{**vars(config), "replay": ReplayConfig(storage=storage)})
    first = build(config, Walk(), folder=tmp_path)
    iterate(first, 8)  # the ring has gone round
    assert first.env_steps > config.buffer_size
    arrays, meta = copy.deepcopy(first.state())
    envs = copy.deepcopy(first.envs)
    rows = iterate(first, 4)
    second = build(config, Walk(), seed=99, folder=tmp_path)
    iterate(second, 1)
    second.envs = envs
    second.load_state(arrays, meta)
    assert repr(iterate(second, 4)) == repr(rows)
    assert everything(second) == everything(first)
    assert not list(tmp_path.iterdir())  # a memmap leaves no file behind


def test_state_of_environments_that_reset_on_the_next_step_restores_to_the_bit():
    config = DQNConfig(n_envs=4, n_step=3, train_every=1, **SMALL)
    first = build(config, Scripted(AutoresetMode.NEXT_STEP, 4, MIXED))
    while not first.resetting.any() or first.gradient_steps < 20:
        iterate(first, 1)
    arrays, meta = copy.deepcopy(first.state())
    envs = copy.deepcopy(first.envs)
    rows = iterate(first, 4)
    second = build(config, Scripted(AutoresetMode.NEXT_STEP, 4, MIXED), seed=9)
    second.envs = envs
    second.load_state(arrays, meta)
    assert repr(iterate(second, 4)) == repr(rows)
    assert everything(second) == everything(first)


@pytest.mark.parametrize("config", CASES.values(), ids=CASES.keys())
def test_same_seed_same_bytes_and_another_seed_others(config):
    runs = []
    for seed in (3, 3, 4):
        agent = build(config, Walk(), seed)
        runs.append((repr(iterate(agent, 4)), everything(agent)))
    assert runs[0] == runs[1]
    assert runs[0][1] != runs[2][1]


@pytest.mark.parametrize("config", CASES.values(), ids=CASES.keys())
def test_a_snapshot_acts_as_the_agent_does(config):
    agent = build(config, Walk())
    iterate(agent, 6)
    arrays, meta = agent.policy_checkpoint()
    acting = q_policy.load(arrays, meta, seed=1)
    obs = np.random.default_rng(0).normal(size=(300, 2)).astype(np.float32)
    expected = agent.learner.values.q_values(agent.inputs(obs)) * agent._deviation()
    np.testing.assert_allclose(acting.q_values(obs), expected, rtol=1e-4, atol=1e-5)
    actions = acting.act(obs, greedy=True)
    np.testing.assert_array_equal(actions, acting.q_values(obs).argmax(axis=1) + DISCRETE.start)
    explored = acting.act(np.repeat(obs, 20, axis=0), greedy=False)
    assert set(explored.tolist()) <= {5, 6, 7}
    differs = (explored != np.repeat(actions, 20)).mean()
    assert differs == pytest.approx(meta["epsilon"] * 2 / 3, abs=0.03)
    assert not hasattr(acting, "probabilities")
