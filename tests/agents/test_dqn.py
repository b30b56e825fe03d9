"""DQN: what it must learn, what it reports, and what it refuses."""

import copy

import numpy as np
import pytest

from agents.config import DQNConfig, QNetworkConfig, ReplayConfig
from agents.q_metrics import largest_return
from tests.agents.environments import BOX, DISCRETE, Frames, Tabular, Walk, build, everything
from tests.agents.small_dqn import CASES, SMALL, iterate


def test_measuring_changes_nothing():
    ends = []
    for every in (1, 10**9):
        agent = build(CASES["everything"], Walk())
        for _ in range(6):
            agent.next_measurement = 0 if every == 1 else 10**9
            row = iterate(agent, 1)[0]
            assert np.isfinite(row["dormant_share"]) == (every == 1)
        agent.next_measurement = 0
        ends.append(everything(agent))
    assert ends[0] == ends[1]


def test_the_row_has_what_a_run_is_read_by():
    agent = build(CASES["everything"], Walk())
    agent._rounds = 1
    first = agent.iterate()
    *_, row = iterate(agent, 8)
    assert list(first) == list(row)
    assert np.isnan(first["value_loss"])  # nothing was learned yet
    for name in ("value_loss", "td_error", "q_mean", "q_max", "grad_norm", "replay_age", "replay_distinct", "epsilon",
                 "beta", "replay_fill", "lr", "episode_return_mean", "episode_length_mean",
                 "reward/centre"):  # fmt: skip
        assert np.isfinite(row[name]), name
    assert 0.8 < row["replay_fill"] <= 1
    assert 0 < row["replay_age"] < 250
    assert row["q_bound"] == pytest.approx(agent.largest_reward / (1 - agent.config.gamma))
    assert row["q_mean"] <= row["q_max"]


def test_the_largest_return():
    assert largest_return(2.0, 0.9) == pytest.approx(20.0)
    assert largest_return(-1.0, 0.9) == -1.0  # one step, and it is over
    assert np.isnan(largest_return(2.0, 1.0))


def test_numbers_that_are_not_finite_end_it():
    agent = build(DQNConfig(n_envs=4, **SMALL), Walk())
    iterate(agent, 2)
    agent.envs.position[:] = np.nan
    with pytest.raises(FloatingPointError, match=r"not finite: rewards\[0, 0\]"):
        iterate(agent, 1)
    last = build(DQNConfig(**SMALL), Frames(np.float64))
    step = last.envs.step

    def ends_nowhere(actions):
        *others, infos = step(actions)
        infos["final_obs"][0] = infos["final_obs"][0] + np.inf
        return *others, infos

    last.envs.step = ends_nowhere
    with pytest.raises(FloatingPointError, match=r"not finite: final_obs\[0, 0, 0\]"):
        iterate(last, 3)
    wild = build(DQNConfig(n_envs=4, lr=1e30, prioritized=True, **SMALL), Walk())
    with pytest.raises(FloatingPointError, match=r"(weight|loss|TD error) is"), np.errstate(all="ignore"):
        iterate(wild, 20)


def test_what_cannot_be_trained_is_one_sentence(tmp_path):
    def refused(match, envs=None, **changes):
        with pytest.raises(ValueError, match=match) as error:
            build(DQNConfig(**changes), envs or Walk(1), folder=tmp_path)
        assert "\n" not in str(error.value)

    refused("takes Box.*use agent=ppo or agent=a2c", Walk(1, BOX))
    refused("buffer_size=100 is too small for batch_size=64.*make it at least", batch_size=64, buffer_size=100)
    refused("epsilon_end=0.5 is above epsilon_start=0.2", epsilon_start=0.2, epsilon_end=0.5)
    refused("epsilon_end=0 is never reached", epsilon_end=0.0, exploration="exponential")
    refused(r"groups=\[1, 2\] are 3 features in all.*gives 2", network=QNetworkConfig(groups=[1, 2]))
    refused("bytes free, and the replay buffer needs", replay=ReplayConfig(storage="memmap"), buffer_size=10**14)
    nowhere = ReplayConfig(storage="memmap", folder=str(tmp_path / "nowhere"))
    refused("No such file or directory", replay=nowhere)
    with pytest.raises(ValueError, match="group_width=9 is not a multiple of heads=4"):
        QNetworkConfig(groups=[1], group_width=9)
    with pytest.raises(ValueError, match="n_step=9 is longer than an episode, which ends after 7 steps"):
        DQNConfig(n_step=9).check(Walk(1).single_observation_space, DISCRETE, 7)


CHAIN = Tabular([[0, 1], [0, 2], [1, 3], [2, 4], [3, 5]], [[0.1, 0], [0, 0], [0, 0], [0, 0], [0, 1]])
CYCLE = Tabular([[1, 2, 3], [2, 0, 4], [0, 1, 1], [0, 0, 2]], [[0, 0.5, -1], [1, 0, 0.3], [0, -0.2, 0.4], [0.2, 0, 0]])


@pytest.mark.parametrize("extra", [
    pytest.param({}, id="plain"),
    pytest.param({"dueling": True, "prioritized": True, "double": False, "target": "soft", "tau": 0.05}, id="others"),
])  # fmt: skip
@pytest.mark.parametrize("world", [CHAIN, CYCLE], ids=["chain", "cycle"])
def test_learned_values_are_those_of_value_iteration(world, extra):
    """Random actions, so that one-step Q-learning meets everything; truncated episodes, which are bootstrapped from."""
    config = DQNConfig(
        n_envs=8, gamma=0.9, lr=1e-2, lr_schedule="linear", batch_size=32, buffer_size=4000, learning_starts=100,
        train_every=2, updates_per_step=0.25, loss="squared", epsilon_end=1.0, target_every=50,
        network=QNetworkConfig(widths=[]), **extra,
    )  # fmt: skip
    agent = build(config, copy.deepcopy(world), total_steps=16_000)
    while agent.env_steps < 16_000:
        agent.iterate()
    learned = agent.learner.values.q_values(np.eye(world.states, dtype=np.float32))
    np.testing.assert_allclose(learned, world.optimal(0.9), atol=1e-2)
