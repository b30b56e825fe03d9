"""DQN: which actions are taken, and which transitions are learned from."""

import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

from agents.config import DQNConfig
from agents.q_metrics import UpdateLog
from tests.agents.environments import MIXED, Frames, Line, Reusing, Scripted, Walk, build
from tests.agents.small_dqn import SMALL, iterate, joined


def test_exploration_is_uniform_and_greed_is_greedy():
    explores = build(DQNConfig(n_envs=4, epsilon_end=1.0, **SMALL), Walk())
    row = explores.iterate()
    shares = [row[f"action/{a}"] for a in range(3)]
    assert sum(shares) == pytest.approx(1.0)
    assert min(shares) > 0.2
    greedy = build(
        DQNConfig(n_envs=4, epsilon_start=0.0, epsilon_end=0.0, **{**SMALL, "learning_starts": 10**6}), Walk()
    )
    greedy.iterate()
    arrays, _ = greedy.buffer.state()
    drawable = arrays["available"]
    best = greedy.learner.values.q_values(arrays["obs"][drawable]).argmax(axis=1)
    np.testing.assert_array_equal(arrays["actions"][drawable], best)


def transitions(agent, rng):
    """What can be drawn, as a set of rounded rows; a few may be missed."""
    draws = [agent.buffer.sample(len(agent.buffer), rng) for _ in range(10)]
    drawn = joined(draws)
    parts = (drawn.obs, drawn.actions, drawn.returns, np.where(drawn.discounts[:, None] > 0, drawn.next_obs, 0))
    columns = [*(np.asarray(p, float).reshape(len(drawn.obs), -1) for p in parts), drawn.discounts[:, None]]
    return {tuple(row) for row in np.concatenate(columns, axis=1).round(4).tolist()}


@pytest.mark.parametrize("n_step", [1, 3])
def test_resetting_on_the_next_step_gives_the_same_transitions(n_step):
    """The same script in either mode; SAME_STEP has no rows of resets, so it is some steps ahead in the end."""
    drawn = []
    for mode in (AutoresetMode.SAME_STEP, AutoresetMode.NEXT_STEP):
        config = DQNConfig(n_envs=2, n_step=n_step, epsilon_start=0.0, epsilon_end=0.0, gamma=0.5,
                           **{**SMALL, "buffer_size": 2000, "learning_starts": 10**6})  # fmt: skip
        agent = build(config, Scripted(mode, 2, MIXED))
        iterate(agent, 12)
        drawn.append(transitions(agent, np.random.default_rng(0)))
        assert agent.log.steps_finished + agent.log.running_length.sum() == agent.env_steps
    assert len(drawn[1]) > 150
    assert len(drawn[1] - drawn[0]) <= 2


def test_environments_started_anew_join_no_two_episodes():
    config = DQNConfig(n_step=3, gamma=0.5, train_every=2, **{**SMALL, "learning_starts": 10**6})
    agent = build(config, Line(), seed=0)
    agent._rounds = 2
    agent.iterate()  # positions 0 to 3, and 4 is the next
    agent.start([100], cut=True)
    agent.iterate()
    assert agent.log.steps_cut == 4
    batch = agent.buffer.sample(4, np.random.default_rng(0))
    for _ in range(40):
        batch = agent.buffer.sample(4, np.random.default_rng(_))
        for at, after, discount, returned in zip(
            batch.obs[:, 0], batch.next_obs[:, 0], batch.discounts, batch.returns, strict=True
        ):
            steps = min(3, 4 - at) if at < 100 else 3
            assert after == at + steps
            assert discount == 0.5**steps
            expected = sum(0.5**k * 10.0 ** -((at + k) % 100) for k in range(int(steps)))
            assert returned == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("dtype", [np.float64, np.uint8])
def test_observations_of_any_dtype_and_shape_are_learned_from_as_float32(dtype):
    agent = build(DQNConfig(train_every=2, **{**SMALL, "learning_starts": 10**6}), Frames(dtype))
    iterate(agent, 2)
    assert (agent.obs.dtype, agent.obs.shape) == (np.float32, (1, 2))
    batch = agent.buffer.sample(10, np.random.default_rng(0))
    assert batch.obs.dtype == np.float32
    np.testing.assert_array_equal(batch.next_obs, batch.obs + 1)  # also where an episode was truncated
    np.testing.assert_allclose(batch.obs[:, 1] - batch.obs[:, 0], 0.25 if dtype is np.float64 else 0.0)


def test_both_ends_at_once_are_a_termination():
    envs = Walk(4)
    step = envs.step

    def both(actions):
        obs, rewards, terminated, truncated, infos = step(actions)
        return obs, rewards, terminated | truncated, terminated | truncated, infos

    envs.step = both
    agent = build(DQNConfig(n_envs=4, **{**SMALL, "learning_starts": 10**6}), envs)
    iterate(agent, 8)
    ring, used = agent.buffer.state()[0], len(agent.buffer)
    assert np.count_nonzero(ring["ends"] == 1) > 5
    assert not (ring["ends"] == 2).any()
    assert used >= agent.buffer.filled - 4  # no slot went to a final observation


def test_an_environment_may_give_one_array_again_and_again():
    config = DQNConfig(train_every=2, **{**SMALL, "learning_starts": 10**6})
    agent = build(config, Reusing(), seed=0)
    iterate(agent, 2)
    batch = agent.buffer.sample(8, np.random.default_rng(0))
    np.testing.assert_array_equal(batch.next_obs, batch.obs + 1)
    np.testing.assert_allclose(batch.returns, 10.0 ** -batch.obs[:, 0], rtol=1e-5)


def test_scales_are_those_of_the_moment_of_the_draw():
    """Rewards and observations lie in the buffer as they came; targets divide by the present deviation."""
    config = DQNConfig(n_envs=4, normalize_obs=True, normalize_reward=True, **SMALL)
    agent = build(config, Walk())
    iterate(agent, 5)
    assert agent.obs_moments.count == agent.env_steps == agent.reward_scale.moments.count
    arrays, _ = agent.buffer.state()
    raw = arrays["obs"][arrays["available"]]
    assert raw[:, 1].max() == 6.0  # the step number, as the environment gives it
    calls = {}
    agent.learner.targets = lambda returns, *_: calls.setdefault("returns", returns)
    sample = agent.buffer.sample
    agent.buffer.sample = lambda *a, **k: calls.setdefault("batch", sample(*a, **k))
    deviation = agent._deviation()
    agent.learner.step = lambda inputs, actions, targets, weights: (targets, np.zeros((8, 3), np.float32), 0.0)
    agent._collect({})
    agent._learn(UpdateLog())
    np.testing.assert_allclose(calls["returns"][:8], calls["batch"].returns[:8] / np.float32(deviation), rtol=1e-6)
