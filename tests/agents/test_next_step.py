"""Environments that reset on the next step: learning equals SAME_STEP, except for the rows of resets."""

import copy
from types import SimpleNamespace

import numpy as np
import pytest
from gymnasium.vector import AutoresetMode
from hypothesis import given
from hypothesis import strategies as st

from agents.advantage import gae
from agents.collect import collect, next_values
from agents.config import A2CConfig, NetworkConfig, PPOConfig
from agents.episode_log import EpisodeLog
from agents.normalize import Moments, RewardScale, merge, of, scale_rewards
from tests.agents.environments import MIXED, Scripted, build


def act(obs, noise, mask):
    """Greedy in something that depends on the observation."""
    parameters = np.stack([np.sin(3 * obs.sum(1)), np.cos(obs[:, 1]), obs[:, 2] / 3], 1).astype(np.float32)
    actions = parameters.argmax(1)
    return obs, parameters, actions, actions


def value(obs):
    return 2.0 * obs[..., 0] - 0.25 * obs[..., 1] + 0.75 * obs[..., 2]


ENDS = st.sampled_from([(True, False), (False, True), (True, True)])
SCRIPTS = st.lists(st.tuples(st.integers(1, 9), ENDS).map(lambda e: (e[0], *e[1])), min_size=1, max_size=6)


def same_step(script, n_envs, steps):
    envs = Scripted(AutoresetMode.SAME_STEP, n_envs, script)
    log = EpisodeLog.start(n_envs)
    return collect(envs, envs.reset()[0], act, np.zeros((steps, n_envs, 3)), log), log


def advantages_of(rollout):
    after = next_values(rollout, value(rollout.inputs), value(rollout.next_obs), value(rollout.final_obs))
    rewards = rollout.rewards.astype(np.float64)
    return gae(rewards, value(rollout.inputs), after, rollout.terminated, rollout.done, 0.97, 0.9)


@given(SCRIPTS, st.integers(1, 4), st.integers(1, 25))
def test_the_transitions_and_advantages_are_those_of_same_step(script, n_envs, steps):
    first, _ = same_step(script, n_envs, steps)
    envs = Scripted(AutoresetMode.NEXT_STEP, n_envs, script)
    resetting = np.zeros(n_envs, bool)
    noise = np.zeros((2 * steps, n_envs, 3))  # at most every second row is a reset
    second = collect(envs, envs.reset()[0], act, noise, EpisodeLog.start(n_envs), resetting)
    assert np.array_equal(second.valid[1:], ~second.done[:-1])
    assert np.array_equal(resetting, second.done[-1])
    assert len(second.transitions(second.actions)) == second.size == second.valid.sum()
    first_advantages, second_advantages = advantages_of(first), advantages_of(second)
    for i in range(n_envs):
        rows = np.flatnonzero(second.valid[:, i])[:steps]
        assert len(rows) == steps
        for name in ("obs", "inputs", "parameters", "actions", "rewards", "terminated", "truncated"):
            assert np.array_equal(getattr(first, name)[:, i], getattr(second, name)[rows, i]), name
        ends = np.flatnonzero(first.done[:, i])  # after the last end, the longer rollout has more steps
        stop = ends[-1] + 1 if len(ends) else 0
        assert np.array_equal(first_advantages[:stop, i], second_advantages[rows[:stop], i])


@given(SCRIPTS, st.integers(1, 40), st.integers(1, 5))
def test_the_log_and_the_terms_are_those_of_same_step(script, steps, chunk):
    """One copy, stepped until it has as many transitions, in rollouts that end anywhere."""
    first, log = same_step(script, 1, steps)
    envs = Scripted(AutoresetMode.NEXT_STEP, 1, script)
    obs, resetting, own_log = envs.reset()[0], np.zeros(1, bool), EpisodeLog.start(1)
    count = total = 0
    while count < steps:
        noise = np.zeros((1 if steps - count <= chunk else chunk, 1, 3))
        rollout = collect(envs, obs, act, noise, own_log, resetting)
        obs, count = rollout.next_obs, count + rollout.size
        total += rollout.reward_terms["cos"] * rollout.size
    assert vars(own_log).keys() == vars(log).keys()
    for name, expected in vars(log).items():
        assert np.array_equal(getattr(own_log, name), expected), name
    assert total / steps == pytest.approx(first.reward_terms["cos"], abs=1e-6)


@given(SCRIPTS, st.integers(1, 30), st.sampled_from(["ppo", "a2c"]))
def test_an_iteration_learns_the_same(script, steps, name):
    """As many transitions of one copy in either mode: the same networks, moments and metrics after it."""
    first, _ = same_step(script, 1, steps)
    resets = int(first.done[:-1].sum())
    common = {"n_envs": 1, "network": NetworkConfig(widths=(8,)), "normalize_reward": True}
    common |= {"normalize_obs": True, "normalize_return": True, "ent_coef": 0.01}
    silent = SimpleNamespace(gumbel=lambda size: np.zeros(size))  # a reset would use up a draw
    agents, metrics = [], []
    for mode, rows in ((AutoresetMode.SAME_STEP, steps), (AutoresetMode.NEXT_STEP, steps + resets)):
        config = {"ppo": PPOConfig, "a2c": A2CConfig}[name](
            n_steps=rows, **common, **({"batch_size": 1, "n_epochs": 2} if name == "ppo" else {})
        )
        agents.append(build(config, Scripted(mode, 1, script), generators={"policy": silent}))
        metrics.append(agents[-1].iterate())
    arrays, others = (agent.policy_checkpoint()[0] for agent in agents)
    for key, array in arrays.items():
        np.testing.assert_allclose(others[key], array, rtol=2e-3, atol=2e-5, err_msg=key)
    for key, expected in metrics[0].items():
        np.testing.assert_allclose(metrics[1][key], expected, rtol=2e-3, atol=2e-4, err_msg=key)
    assert agents[0].reward_scale.moments.count == agents[1].reward_scale.moments.count == steps
    np.testing.assert_allclose(agents[1].reward_scale.moments.m2, agents[0].reward_scale.moments.m2)
    for key in ("env_steps", "gradient_steps", "training_epochs"):
        assert getattr(agents[0], key) == getattr(agents[1], key), key


@given(SCRIPTS, st.integers(1, 4), st.integers(1, 20), st.integers(0, 9))
def test_reward_statistics_are_those_of_the_steps_there_were(script, n_envs, steps, seed):
    rng = np.random.default_rng(seed)
    valid = rng.random((steps, n_envs)) < 0.7
    rewards = np.where(valid, rng.normal(size=(steps, n_envs)), 0.0)
    # the row before a reset has ended the episode, so R is 0 there
    done = np.concatenate([~valid[1:], rng.random((1, n_envs)) < 0.5])
    start = RewardScale(np.where(valid[0], rng.normal(size=n_envs), 0.0), Moments.empty())
    scaled, after = scale_rewards(rewards, done, start, 0.9, valid=valid)
    running, moments = start.returns.copy(), Moments.empty()
    for t in range(steps):
        running = 0.9 * running + rewards[t]
        moments = merge(moments, of(running[valid[t]]))
        expected = np.clip(rewards[t] / np.sqrt(moments.variance + 1e-8), -10, 10)
        np.testing.assert_allclose(scaled[t], expected, rtol=1e-5, atol=1e-6)
        running[done[t]] = 0
    assert after.moments.count == valid.sum()
    np.testing.assert_allclose([after.moments.mean, after.moments.m2], [moments.mean, moments.m2], atol=1e-9)
    assert np.array_equal(after.returns, running)


CONFIGS = {
    "ppo": PPOConfig(n_envs=4, n_steps=7, batch_size=8, n_epochs=2, normalize_obs=True, normalize_reward=True),
    "ppo-autograd": PPOConfig(n_envs=4, n_steps=7, batch_size=8, network=NetworkConfig(norm="layer")),
    "a2c": A2CConfig(n_envs=4, n_steps=3, normalize_obs=True, normalize_return=True),
}


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS.keys())
def test_env_steps_are_the_transitions_and_every_statistic_counts_those(config):
    agent = build(config, Scripted(AutoresetMode.NEXT_STEP, 4, MIXED))
    sizes = []
    update = agent.update
    agent.update = lambda batch: (sizes.append({len(column) for column in batch if column is not None}), update(batch))[
        1
    ]
    rows = [agent.iterate() for _ in range(12)]
    assert all(len(size) == 1 for size in sizes)
    assert len(set.union(*sizes)) > 1, "the number of rows is to vary"
    assert agent.env_steps == sum(size.pop() for size in sizes) < 12 * agent.steps_per_iteration
    assert agent.log.steps_finished + agent.log.running_length.sum() == agent.env_steps
    for moments in (agent.obs_moments, agent.return_moments):
        assert moments is None or moments.count == agent.env_steps
    for row in rows:
        assert sum(row[f"action/{a}"] for a in range(3)) == pytest.approx(1.0)
        assert abs(row["reward/cos"]) <= 1
    assert max(agent.log.lengths) == 8


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS.keys())
def test_state_restores_to_the_bit(config):
    first = build(config, Scripted(AutoresetMode.NEXT_STEP, 4, MIXED))
    for _ in range(24):
        first.iterate()
        if first.resetting.any():  # a reset is to come
            break
    assert first.resetting.any()
    arrays, meta = copy.deepcopy(first.state())
    envs = copy.deepcopy(first.envs)
    rows = [first.iterate() for _ in range(3)]
    second = build(config, Scripted(AutoresetMode.NEXT_STEP, 4, MIXED))
    second.iterate()
    second.envs = envs
    second.load_state(arrays, meta)
    assert repr([second.iterate() for _ in range(3)]) == repr(rows)
    arrays, others = first.state()[0], second.state()[0]
    assert {k: v.tobytes() for k, v in arrays.items()} == {k: v.tobytes() for k, v in others.items()}


def test_starting_anew_leaves_no_reset_behind():
    agent = build(CONFIGS["a2c"], Scripted(AutoresetMode.NEXT_STEP, 4, [(3, True, False)]))
    agent.iterate()
    assert agent.resetting.all()
    agent.start([0] * 4, cut=True)
    agent.iterate()
    assert agent.env_steps == 24


def test_a_step_that_only_resets_is_no_iteration():
    agent = build(A2CConfig(n_envs=2, n_steps=1), Scripted(AutoresetMode.NEXT_STEP, 2, [(1, True, False)]))
    for _ in range(3):
        assert np.isfinite(agent.iterate()["policy_loss"])
    assert agent.env_steps == agent.log.episodes == 6


def test_environments_that_do_not_reset_are_refused():
    with pytest.raises(ValueError, match="SAME_STEP or NEXT_STEP"):
        build(CONFIGS["a2c"], Scripted(AutoresetMode.DISABLED, 4, MIXED))
