"""Learning from steps that were taken elsewhere: the same bytes as from an agent's own, and the layout of a rollout."""

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents import AGENTS
from agents.config import A2CConfig, DQNConfig, NetworkConfig, PPOConfig
from agents.transitions import Transitions, as_rollout, grid
from tests.agents.environments import Walk

CONFIGS = {
    "ppo": PPOConfig(n_envs=4, n_steps=16, batch_size=32, n_epochs=2, normalize_obs=True, normalize_reward=True),
    "a2c": A2CConfig(n_envs=4, n_steps=16, normalize_return=True, network=NetworkConfig(widths=[8], norm="layer")),
    "dqn": DQNConfig(
        learning_starts=20, batch_size=8, buffer_size=500, n_step=2, prioritized=True, target_every=10,
        n_envs=1, normalize_obs=True, normalize_reward=True,
    ),
}  # fmt: skip
SPACE = gym.spaces.Discrete(3, start=5)


class Recorded(Walk):
    """A walk that keeps what it was asked and what it answered."""

    def reset(self, **options):
        self.rows, (obs, infos) = [], super().reset(**options)
        self.latest = obs
        return obs, infos

    def step(self, actions):
        obs, rewards, terminated, truncated, infos = super().step(actions)
        next_obs = np.where((terminated | truncated)[:, None], infos.get("final_obs", obs), obs)
        self.rows.append((self.latest, actions - 5, rewards, terminated, truncated & ~terminated, next_obs))
        self.latest = obs
        return obs, rewards, terminated, truncated, infos

    def transitions(self):
        names = ("obs", "actions", "rewards", "terminated", "truncated", "next_obs")
        columns = {}
        for name, values in zip(names, zip(*self.rows, strict=True), strict=True):
            stacked = np.stack(values, axis=1)  # [N, T, …]
            columns[name] = stacked.reshape(-1, *stacked.shape[2:])
        columns["streams"] = np.repeat(np.arange(self.num_envs), len(self.rows))
        self.rows.clear()
        return columns


def agent(config):
    generators = {name: np.random.default_rng([3, i]) for i, name in enumerate(("init", "policy", "minibatch"))}
    envs = Recorded(config.n_envs, SPACE)
    return AGENTS[config.name].build(config, envs, generators=generators, total_steps=5_000, device="cpu", folder=None)


def arrays(agent):
    return {name: array.tobytes() for name, array in agent.policy_checkpoint()[0].items()}


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_steps_of_elsewhere_teach_what_own_steps_teach(config):
    """To the bit, over several updates, statistics of observations and rewards included."""
    collecting, learning = agent(config), agent(config)
    collecting.start(list(range(config.n_envs)))
    first = arrays(learning)
    for _ in range(2):
        collecting.iterate()
        learning.learn_from(collecting.envs.transitions())
        assert arrays(learning) == arrays(collecting) != first
        assert learning.env_steps == collecting.env_steps
        assert learning.gradient_steps == collecting.gradient_steps


def test_a_state_without_replay_and_its_transitions_are_the_whole_agent():
    before, after = agent(CONFIGS["dqn"]), agent(CONFIGS["dqn"])
    collecting = agent(CONFIGS["dqn"])
    collecting.start([0])
    collecting.iterate()
    first = collecting.envs.transitions()
    before.learn_from(first)
    arrays_, meta = before.state_without_replay()
    assert not any(name.startswith("replay") for name in arrays_)
    after.refill(first)
    after.load_state({name: array.copy() for name, array in arrays_.items()}, meta)
    assert arrays(after) == arrays(before)
    assert len(after.buffer) == len(before.buffer)
    assert after.env_steps == before.env_steps


def test_dqn_says_how_many_transitions_make_an_update_due():
    dqn = agent(CONFIGS["dqn"])
    needed, collecting = dqn.transitions_needed, agent(CONFIGS["dqn"])
    collecting.start([0])
    collecting.iterate()
    columns = collecting.envs.transitions()
    dqn.learn_from({name: column[: needed - 1] for name, column in columns.items()})
    assert dqn.gradient_steps == 0
    dqn.learn_from({name: column[needed - 1 : needed] for name, column in columns.items()})
    assert dqn.gradient_steps == 1


def transitions(lengths, rng):
    """Streams of those lengths with random ends and gaps."""
    size = sum(lengths)
    obs = rng.standard_normal((size + 1, 2)).astype(np.float32)
    next_obs = np.where(rng.random((size, 1)) < 0.8, obs[1:], -obs[1:])
    terminated = rng.random(size) < 0.2
    return Transitions(
        obs=obs[:-1],
        actions=rng.integers(3, size=size),
        rewards=rng.standard_normal(size),
        terminated=terminated,
        truncated=~terminated & (rng.random(size) < 0.2),
        next_obs=next_obs,
        streams=np.repeat(np.arange(len(lengths)), lengths),
    )


@given(st.lists(st.integers(1, 9), min_size=1, max_size=8), st.integers(0, 2**32 - 1))
def test_a_rollout_holds_each_transition_once_and_what_followed_it(lengths, seed):
    steps = transitions(lengths, np.random.default_rng(seed))
    cells = grid(steps.streams, lambda stream: False)
    index = cells[cells >= 0]
    assert sorted(index.tolist()) == list(range(len(steps)))
    assert cells.size <= 2 * len(steps) + len(cells)
    rollout = as_rollout(steps, cells, lambda obs, mask: (obs, obs))
    np.testing.assert_array_equal(rollout.transitions(rollout.obs), steps.obs[index])
    np.testing.assert_array_equal(rollout.transitions(rollout.terminated), steps.terminated[index])
    # Where no episode terminated, what follows a cell is the observation that its step led to.
    after = np.concatenate([rollout.obs[1:], rollout.next_obs[None]])
    after[rollout.truncated] = rollout.final_obs
    open_cells = (cells >= 0) & ~rollout.terminated
    np.testing.assert_array_equal(after[open_cells], steps.next_obs[cells[open_cells]])


def test_a_stream_that_goes_on_begins_a_column():
    assert grid(np.array([0, 0, 0, 1, 2]), lambda stream: False).T.tolist() == [[0, 1, 2], [3, 4, -1]]
    assert grid(np.array([0, 0, 0, 1, 2]), lambda stream: stream == 2).T.tolist() == [
        [0, 1, 2],
        [3, -1, -1],
        [4, -1, -1],
    ]


@pytest.mark.parametrize("name", ["ppo", "a2c"])
def test_propensities_of_the_own_policy_change_nothing_but_the_last_bits(name):
    plain, corrected = agent(CONFIGS[name]), agent(CONFIGS[name])
    for learning in (plain, corrected):
        learning.start(list(range(4)))
    rollout = plain.collect()
    columns = plain.envs.transitions()
    log_probs = plain._log_probs(rollout).T.ravel()  # streams are copies, one after the other
    plain.learn_from(columns)
    corrected.learn_from({**columns, "log_propensities": log_probs})
    for key, array in plain.policy_checkpoint()[0].items():
        np.testing.assert_allclose(corrected.policy_checkpoint()[0][key], array, rtol=1e-3, atol=1e-4, err_msg=key)


def test_ppo_learns_from_another_policys_steps_what_that_policy_does_not_do():
    """Of logged steps of chance the correction finds the action that pays; it is 2, and chance takes it rarely."""
    rng, count = np.random.default_rng(0), 1_200
    config = PPOConfig(n_envs=4, n_steps=300, batch_size=300, n_epochs=10, lr=3e-3, network=NetworkConfig(widths=[16]))
    learning = agent(config)
    shares = np.array([0.45, 0.45, 0.1])
    actions = rng.choice(3, count, p=shares)
    obs = rng.normal(size=(count, 2)).astype(np.float32)
    columns = {
        "obs": obs, "actions": actions, "rewards": (actions == 2).astype(np.float64),
        "terminated": np.ones(count, bool), "truncated": np.zeros(count, bool), "next_obs": obs,
        "streams": np.arange(count), "log_propensities": np.log(shares[actions]),
    }  # fmt: skip
    for _ in range(6):
        learning.learn_from(columns)
    chosen = learning._inputs_and_parameters(obs[:100], None)[1].argmax(axis=1)
    assert (chosen == 2).mean() > 0.95
