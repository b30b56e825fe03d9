"""Playing episodes: each seed once, in the order of the seeds, with any number of copies."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from hypothesis import given
from hypothesis import strategies as st

from rl_eval import rollout
from rl_eval.domains import cartpole


class ScriptedVector(VectorEnv):
    """Episode `seed` lasts `lengths[seed]` steps and ends as `terminal[seed]` says; it keeps what was asked of it."""

    def __init__(self, lengths, terminal, n_envs):
        self.num_envs, self.lengths, self.terminal = n_envs, np.array(lengths), np.array(terminal)
        self.single_observation_space = gym.spaces.Box(-1, np.inf, (2,), np.float32)
        self.single_action_space = gym.spaces.Discrete(7)
        self.observation_space = batch_space(self.single_observation_space, n_envs)
        self.action_space = batch_space(self.single_action_space, n_envs)
        self.metadata = {"autoreset_mode": AutoresetMode.DISABLED}
        self.seed, self.time = np.zeros(n_envs, np.int64), np.zeros(n_envs, np.int64)
        self.idle = np.ones(n_envs, bool)
        self.started, self.episodes, self.orders, self.steps = [], [], set(), 0

    def reset(self, *, seed=None, options=None):
        mask = options["reset_mask"]
        assert self.idle[mask].all(), "a copy was taken from an episode that it still played"
        self.seed[mask], self.time[mask], self.idle[mask] = np.array(seed)[mask], 0, False
        self.started += self.seed[mask].tolist()
        self.episodes += options["episode"][mask].tolist()
        self.orders.add(options["order"])
        return self.observe(), {}

    def observe(self):
        return np.stack([self.seed, self.time], axis=1).astype(np.float32)

    def step(self, actions):
        self.steps += 1
        self.time += ~self.idle
        done = (self.time == self.lengths[self.seed]) & ~self.idle
        self.idle |= done
        terminal = self.terminal[self.seed]
        outcome = {"seed": self.seed.copy(), "time": self.time.copy(), "action": np.asarray(actions)}
        return self.observe(), np.zeros(self.num_envs), done & terminal, done & ~terminal, {"outcome": outcome}


class Echo:
    """Its action tells the observation that it saw; `greedy` is kept."""

    def __init__(self):
        self.greedy = set()

    def act(self, obs, greedy):
        self.greedy.add(greedy)
        return (obs[:, 0] + 3 * obs[:, 1]).astype(np.int64) % 7


class Leaning:
    """CartPole's own textbook rule: push to the side that the pole leans to."""

    def act(self, obs, greedy):
        return (obs[:, 2] + obs[:, 3] > 0).astype(np.int64)


@given(data=st.data())
def test_every_seed_is_played_once_and_yielded_in_order(data):
    total = data.draw(st.integers(1, 12), "episodes")
    lengths = data.draw(st.lists(st.integers(1, 9), min_size=total, max_size=total), "lengths")
    terminal = data.draw(st.lists(st.booleans(), min_size=total, max_size=total), "terminal")
    seeds = data.draw(st.permutations(range(total)), "seeds")
    n_envs = data.draw(st.integers(1, 15), "copies")
    envs, policy, counted = ScriptedVector(lengths, terminal, n_envs), Echo(), []
    played = rollout.play(envs, policy, seeds=seeds, greedy=False, order=5, on_episodes=counted.append)

    assert sorted(envs.started) == list(range(total))
    assert sorted(envs.episodes) == list(range(total))
    assert envs.orders == {5}
    assert policy.greedy == {False}
    assert counted == sorted(counted)
    assert counted[-1] == total

    lengths, terminal = np.array(lengths)[seeds], np.array(terminal)[seeds]
    assert len(played) == total
    assert played.seeds.tolist() == seeds
    assert played.lengths.tolist() == lengths.tolist()
    assert played.terminated.tolist() == terminal.tolist()
    assert played.first_obs.tolist() == [[seed, 0] for seed in seeds]
    assert played.episode.tolist() == np.repeat(np.arange(total), lengths).tolist()
    assert played.outcome["seed"].tolist() == np.repeat(seeds, lengths).tolist()
    times = np.concatenate([np.arange(length) for length in lengths])
    assert played.outcome["time"].tolist() == (times + 1).tolist()
    assert played.outcome["action"].tolist() == ((np.repeat(seeds, lengths) + 3 * times) % 7).tolist()
    assert played.per_episode("time").tolist() == (lengths * (lengths + 1) / 2).tolist()


class CountsItsCalls:
    """Its action is the number of calls since the episode of that copy began."""

    def act(self, obs, greedy, episode_start=None):
        self.calls = np.zeros(len(obs), np.int64) if episode_start.all() else np.where(episode_start, 0, self.calls + 1)
        return self.calls % 7


@given(lengths=st.lists(st.integers(1, 9), min_size=1, max_size=20), n_envs=st.integers(1, 12))
def test_a_policy_hears_where_each_episode_starts(lengths, n_envs):
    played = rollout.play(
        ScriptedVector(lengths, [False] * len(lengths), n_envs), CountsItsCalls(), seeds=range(len(lengths))
    )
    assert played.outcome["action"].tolist() == [call % 7 for length in lengths for call in range(length)]


@given(lengths=st.lists(st.integers(1, 30), min_size=1, max_size=30), n_envs=st.integers(1, 10))
def test_no_copy_waits_for_another(lengths, n_envs):
    """List scheduling in the order of the seeds: a free copy takes the next seed at once."""
    free = np.zeros(n_envs, int)
    for length in lengths:
        free[free.argmin()] += length
    envs = ScriptedVector(lengths, [False] * len(lengths), n_envs)
    rollout.play(envs, Echo(), seeds=range(len(lengths)))
    assert envs.steps == free.max()


def test_the_same_copies_can_play_again_with_fewer_seeds():
    envs = ScriptedVector([3, 1, 2], [True] * 3, 3)
    first = rollout.play(envs, Echo(), seeds=[0, 1, 2])
    again = rollout.play(envs, Echo(), seeds=[2])
    assert again.lengths.tolist() == [2]
    assert again.outcome["action"].tolist() == first.outcome["action"][-2:].tolist()


def test_no_seeds_is_an_error():
    with pytest.raises(ValueError, match="need at least one seed"):
        rollout.play(ScriptedVector([1], [True], 1), Echo(), seeds=[])


# -- on CartPole -------------------------------------------------------------------------------------------------------

SEEDS = [7, 123456789, 0, 7, 2**31 - 1]


def play_cartpole(policy, n_envs, **keywords):
    envs = cartpole.DOMAIN.make(cartpole.Config(), n_envs=n_envs, part="test", autoreset=False)
    try:
        return rollout.play(envs, policy, seeds=SEEDS, **keywords)
    finally:
        envs.close()


def one_by_one(policy):
    """The same episodes in Gymnasium's plain loop: first observations, returns and whether each terminated."""
    env = gym.make("CartPole-v1")
    first, returns, ended = [], [], []
    for seed in SEEDS:
        obs, _ = env.reset(seed=seed)
        first.append(obs)
        total, done = 0.0, False
        while not done:
            obs, reward, terminated, truncated, _ = env.step(int(policy.act(obs[None], True)[0]))
            total, done = total + float(reward), terminated or truncated
        returns.append(total)
        ended.append(terminated)
    return first, returns, ended


@pytest.mark.parametrize("n_envs", [1, 3, 5, 8])
def test_cartpole_is_played_as_gymnasiums_plain_loop_plays_it(n_envs):
    first, returns, ended = one_by_one(Leaning())
    played = play_cartpole(Leaning(), n_envs)
    assert played.per_episode("native_reward").tolist() == returns
    assert played.lengths.tolist() == returns  # one a step
    assert played.terminated.tolist() == ended
    assert np.array_equal(played.first_obs, first)
    assert played.first_obs.dtype == np.float32


def test_greedy_is_the_same_every_time_and_a_sample_is_not():
    class Unsure(Leaning):
        def __init__(self, seed):
            self.rng = np.random.default_rng(seed)

        def act(self, obs, greedy):
            sure = super().act(obs, greedy)
            return sure if greedy else np.where(self.rng.random(len(obs)) < 0.3, 1 - sure, sure)

    returns = {(seed, greedy): play_cartpole(Unsure(seed), 2, greedy=greedy).lengths.tolist()
               for seed in (0, 1) for greedy in (True, False)}  # fmt: skip
    assert returns[0, True] == returns[1, True]
    assert returns[0, False] != returns[1, False]
    assert returns[0, False] == play_cartpole(Unsure(0), 2, greedy=False).lengths.tolist()
