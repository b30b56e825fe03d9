"""Small vector environments for the tests of agents, and agents on them."""

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from agents import AGENTS

DISCRETE = gym.spaces.Discrete(3, start=5)
BOX = gym.spaces.Box(np.array([-0.5, 0.0], np.float32), np.array([0.5, 2.0], np.float32))


class Walk(VectorEnv):
    """A noisy walk that terminates past ±2 and is truncated after 7 steps; observation (position, step)."""

    def __init__(self, n_envs=4, action_space=DISCRETE):
        self.num_envs = n_envs
        self.metadata = {"autoreset_mode": AutoresetMode.SAME_STEP}
        self.single_observation_space = gym.spaces.Box(-np.inf, np.inf, (2,), np.float32)
        self.observation_space = batch_space(self.single_observation_space, n_envs)
        self.single_action_space = action_space
        self.action_space = batch_space(action_space, n_envs)

    def _obs(self):
        return np.stack([self.position, self.steps], axis=1).astype(np.float32)

    def reset(self, *, seed=None, options=None):
        self.rng = np.random.default_rng(seed)
        self.position, self.steps = np.zeros(self.num_envs), np.zeros(self.num_envs)
        return self._obs(), {}

    def step(self, actions):
        assert self.action_space.contains(actions), actions
        push = actions - 6 if actions.ndim == 1 else actions[:, 0]
        self.position = self.position + push + 0.3 * self.rng.standard_normal(self.num_envs)
        self.steps = self.steps + 1
        terminated, truncated = np.abs(self.position) > 2, self.steps >= 7
        reward = 1 - np.abs(self.position)
        infos = {"reward_terms": {"centre": reward.astype(np.float32)}}
        done = terminated | truncated
        if done.any():
            infos["final_obs"], infos["_final_obs"] = self._obs(), done
            self.position, self.steps = np.where(done, 0, self.position), np.where(done, 0, self.steps)
        return self._obs(), reward, terminated, truncated, infos


class Scripted(VectorEnv):
    """Episodes of scripted lengths and ends; a step's outcome depends on copy, episode, time and action alone.

    Reward, terms and action in the row of a reset are garbage, so a count that includes them shows.
    """

    def __init__(self, mode, n_envs, script):
        self.num_envs, self.script, self.mode = n_envs, script, mode
        self.metadata = {"autoreset_mode": mode}
        self.single_observation_space = gym.spaces.Box(-np.inf, np.inf, (3,), np.float32)
        self.observation_space = batch_space(self.single_observation_space, n_envs)
        self.single_action_space = gym.spaces.Discrete(3)
        self.action_space = batch_space(self.single_action_space, n_envs)

    def _obs(self):
        return np.stack([np.sin(np.arange(self.num_envs) + 7 * self.episode), self.time, self.position], 1).astype("f4")

    def reset(self, *, seed=None, options=None):
        self.episode, self.time, self.position = (np.zeros(self.num_envs) for _ in range(3))
        self.over = np.zeros(self.num_envs, bool)
        return self._obs(), {}

    def _begin(self, rows):
        self.episode[rows] += 1
        self.time[rows] = self.position[rows] = 0

    def step(self, actions):
        skipped = self.over.copy()
        self._begin(skipped)
        self.time[~skipped] += 1
        self.position = np.where(skipped, 0, 0.5 * self.position + actions - 1)
        # (length, terminated, truncated) of every copy's episode
        ends = np.array([self.script[(i + int(k)) % len(self.script)] for i, k in enumerate(self.episode)])
        last = (self.time >= ends[:, 0]) & ~skipped
        terminated, truncated = last & ends[:, 1].astype(bool), last & ends[:, 2].astype(bool)
        rewards = np.where(skipped, 1e6, np.cos(self.position + self.time))
        infos = {"reward_terms": {"cos": rewards.astype(np.float32)}}
        if self.mode == AutoresetMode.NEXT_STEP:
            self.over = last
        elif last.any():
            infos["final_obs"], infos["_final_obs"] = self._obs(), last
            self._begin(last)
        return self._obs(), rewards, terminated, truncated, infos


MIXED = [(3, True, False), (1, False, True), (5, False, True), (2, True, True), (8, True, False)]


class Tabular(VectorEnv):
    """A Markov decision process in tables, observed as one-hot rows; an episode is truncated after `limit` steps.

    Args:
        outcomes: `[S, A]` the next state; S for a termination.
        rewards: `[S, A]`.
    """

    def __init__(self, outcomes, rewards, n_envs=8, limit=12):
        self.outcomes, self.table, self.limit = np.array(outcomes), np.array(rewards, float), limit
        self.states, actions = self.outcomes.shape
        self.num_envs, self.metadata = n_envs, {"autoreset_mode": AutoresetMode.SAME_STEP}
        self.single_observation_space = gym.spaces.Box(0, 1, (self.states,), np.float32)
        self.single_action_space = gym.spaces.Discrete(actions)
        self.observation_space = batch_space(self.single_observation_space, n_envs)
        self.action_space = batch_space(self.single_action_space, n_envs)

    def _obs(self):
        return np.eye(self.states + 1, self.states, dtype=np.float32)[self.state]

    def reset(self, *, seed=None, options=None):
        self.rng = np.random.default_rng(seed)
        self.state = self.rng.integers(self.states, size=self.num_envs)
        self.steps = np.zeros(self.num_envs, int)
        return self._obs(), {}

    def step(self, actions):
        rewards = self.table[self.state, actions]
        self.state = self.outcomes[self.state, actions]
        self.steps += 1
        terminated = self.state == self.states
        truncated = (self.steps >= self.limit) & ~terminated
        done, infos = terminated | truncated, {}
        if done.any():
            infos = {"final_obs": self._obs(), "_final_obs": done}
            self.state = np.where(done, self.rng.integers(self.states, size=self.num_envs), self.state)
            self.steps[done] = 0
        return self._obs(), rewards, terminated, truncated, infos

    def optimal(self, gamma):
        """Q* `[S, A]` by value iteration."""
        q = np.zeros(self.table.shape)
        for _ in range(2000):
            q = self.table + gamma * np.append(q.max(axis=1), 0.0)[self.outcomes]
        return q


class Line(VectorEnv):
    """Position 0, 1, 2, … of each copy, with rewards of 10^-position, and nothing ever ends."""

    def __init__(self, n_envs=1):
        self.num_envs, self.metadata = n_envs, {"autoreset_mode": AutoresetMode.SAME_STEP}
        self.single_observation_space = gym.spaces.Box(-np.inf, np.inf, (1,), np.float32)
        self.single_action_space = gym.spaces.Discrete(2)
        self.observation_space = batch_space(self.single_observation_space, n_envs)
        self.action_space = batch_space(self.single_action_space, n_envs)

    def reset(self, *, seed=None, options=None):
        self.at = np.array(seed, np.float32)[:, None]
        return self.at.copy(), {}

    def step(self, actions):
        rewards = 10.0 ** -(self.at[:, 0] % 100)
        self.at = self.at + 1
        never = np.zeros(self.num_envs, bool)
        return self.at.copy(), rewards, never, never, {}


class Frames(Line):
    """As `Line`, with observations `[1, 2]` of another dtype."""

    def __init__(self, dtype):
        super().__init__(1)
        self.single_observation_space = gym.spaces.Box(0, 255, (1, 2), dtype)
        self.observation_space = batch_space(self.single_observation_space, 1)

    def _obs(self):
        return np.stack([self.at, self.at + 0.25], axis=2).astype(self.single_observation_space.dtype)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self._obs(), {}

    def step(self, actions):
        _, rewards, terminated, _, infos = super().step(actions)
        ends = self.at[:, 0] % 5 == 0
        final = np.empty(1, object)
        final[0] = self._obs()[0]
        if ends.all():
            self.at = self.at + 20
        return self._obs(), rewards, terminated, ends, {**infos, "final_obs": final}


class Reusing(Line):
    """Writes every observation into the one array that it gives."""

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self.at, {}

    def step(self, actions):
        before = self.at
        obs, *rest = super().step(actions)
        before[...] = obs
        self.at = before
        return (self.at, *rest)


def build(config, envs, seed=0, total_steps=10_000, generators=None, **keywords):
    """A started agent; `generators` replace those of the same name."""
    streams = {name: np.random.default_rng([seed, i]) for i, name in enumerate(("init", "policy", "minibatch"))}
    streams |= generators or {}
    agent = AGENTS[config.name].build(config, envs, generators=streams, total_steps=total_steps, **keywords)
    agent.start([seed] * envs.num_envs)
    return agent


def everything(agent):
    arrays, meta = agent.state()
    return {**{k: v.tobytes() for k, v in arrays.items()}, "meta": meta}
