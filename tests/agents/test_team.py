"""Several DQN agents: transitions from turn to turn, credit, what they share, what they learn."""

import copy

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

import agents
from agents import q_policy
from agents.config import AgentsConfig, DQNConfig, QNetworkConfig
from agents.replay import ReplayBuffer
from agents.team import TeamDQN
from agents.team_network import TeamQNetwork
from tests.agents.environments import Walk, build, everything

ROUNDS, AGENTS = 3, 2
SMALL = {
    "n_envs": 4, "batch_size": 8, "buffer_size": 400, "learning_starts": 20, "target_every": 10, "train_every": 2,
    "network": QNetworkConfig(widths=[8]), "gamma": 0.5,
}  # fmt: skip


class Turns(VectorEnv):
    """Two agents in turn, three rounds an episode; observation: whose turn, the round, and whether 1 was found.

    Action 1 finds something, once a round: worth 1 to the first who does. Action 0 is worth .5 to agent 0 alone,
    action 2 the same to agent 1 alone. Action 3 is never legal.
    """

    def __init__(self, n_envs=4, gives_credit=True):
        self.num_envs, self.gives_credit = n_envs, gives_credit
        self.metadata = {"autoreset_mode": AutoresetMode.SAME_STEP}
        self.single_observation_space = gym.spaces.Box(-9, 9, (4,), np.float32)
        self.single_action_space = gym.spaces.Discrete(4)
        self.observation_space = batch_space(self.single_observation_space, n_envs)
        self.action_space = batch_space(self.single_action_space, n_envs)

    def _obs(self):
        turn = np.eye(AGENTS)[self.time % AGENTS]
        row = np.array([*turn, self.time // AGENTS, 0.0], np.float32)
        obs = np.tile(row, (self.num_envs, 1))
        obs[:, 3] = self.found
        return obs

    def _mask(self):
        return {"action_mask": np.tile([True, True, True, False], (self.num_envs, 1))}

    def reset(self, *, seed=None, options=None):
        self.time, self.found, self.actions = 0, np.zeros(self.num_envs), []
        return self._obs(), self._mask()

    @staticmethod
    def reward(turn, action, found):
        return np.where(action == 1, 1.0 - found, 0.5 * (action == 2 * turn))

    def step(self, actions):
        assert not (actions == 3).any()
        turn = self.time % AGENTS
        rewards = self.reward(turn, actions, self.found)
        self.actions.append(actions)
        self.found = np.maximum(self.found, actions == 1)
        self.time += 1
        infos = {"reward_terms": {}, "outcome": {"novelty": np.full(self.num_envs, 0.25)}}
        if turn == AGENTS - 1:
            if self.gives_credit:
                first, second = self.actions[-2:]
                nothing = np.zeros(self.num_envs)
                infos["rewards_without"] = np.array([self.reward(1, second, nothing), self.reward(0, first, nothing)])
            self.found = np.zeros(self.num_envs)
        truncated = np.full(self.num_envs, self.time == ROUNDS * AGENTS)
        if truncated.any():
            infos |= {"final_obs": self._obs(), "_final_obs": truncated}
            infos["final_action_mask"] = self._mask()["action_mask"]
            self.time = 0
        return self._obs(), rewards, np.zeros(self.num_envs, bool), truncated, infos | self._mask()


def team(envs=None, team_config=None, **changes):
    return build(DQNConfig(agents=team_config or AgentsConfig(count=AGENTS), **{**SMALL, **changes}), envs or Turns())


def collected(agent, monkeypatch):
    """What a few rounds put into the buffer: rows of `[count, N]`."""
    rows, add = [], ReplayBuffer.add

    def kept(buffer, obs, actions, rewards, terminated, *rest, **keywords):
        shape = (AGENTS, agent.envs.num_envs)
        rows.append(
            (obs.reshape(*shape, -1).copy(), actions.reshape(shape), rewards.reshape(shape), terminated.reshape(shape))
        )
        return add(buffer, obs, actions, rewards, terminated, *rest, **keywords)

    monkeypatch.setattr(ReplayBuffer, "add", kept)
    agent._rounds = 12
    agent.iterate()
    return rows


def test_an_agents_step_leads_to_its_own_next_turn(monkeypatch):
    agent = team(learning_starts=10**6)
    rows = collected(agent, monkeypatch)
    assert agent.env_steps == len(rows) * AGENTS * 4
    for number, (obs, _, _, terminated) in enumerate(rows):
        assert (obs[0, :, :2] == [1, 0]).all()
        assert (obs[1, :, :2] == [0, 1]).all()
        assert (obs[..., 2] == number % ROUNDS).all()
        assert (terminated == (number % ROUNDS == ROUNDS - 1)).all()
    batch = agent.buffer.sample(64, np.random.default_rng(0))
    goes_on = batch.discounts > 0
    np.testing.assert_array_equal(batch.next_obs[goes_on, :2], batch.obs[goes_on, :2])
    np.testing.assert_array_equal(batch.next_obs[goes_on, 2], batch.obs[goes_on, 2] + 1)
    assert set(batch.obs[~goes_on, 2]) == {ROUNDS - 1}
    assert not batch.masks[:, 3].any()


# Actions of both agents, and by hand: the team's reward, and what each agent makes of it.
TABLE = {
    (1, 1): (1.0, (0.0, 0.0)),  # either would have found it
    (1, 0): (1.0, (1.0, 0.0)),
    (0, 1): (1.5, (0.5, 1.0)),
    (0, 2): (1.0, (0.5, 0.5)),
    (2, 0): (0.0, (0.0, 0.0)),
}


@pytest.mark.parametrize("credit", ["difference", "none"])
def test_credit_is_that_of_the_table(credit, monkeypatch):
    agent = team(team_config=AgentsConfig(count=AGENTS, credit=credit), learning_starts=10**6)
    seen = set()
    for _, actions, rewards, _ in collected(agent, monkeypatch):
        for pair, credited in zip(actions.T.tolist(), rewards.T.tolist(), strict=True):
            if tuple(pair) in TABLE:
                whole, parts = TABLE[tuple(pair)]
                assert credited == pytest.approx([whole, whole] if credit == "none" else parts)
                seen.add(tuple(pair))
    assert seen == TABLE.keys()


def test_what_is_shared():
    def trained_on_first(share):
        agent = team(team_config=AgentsConfig(count=AGENTS, share=share))
        before = {name: array.copy() for name, array in agent.policy_checkpoint()[0].items()}
        obs = np.tile(np.array([1, 0, 1, 0], np.float32), (8, 1))
        for _ in range(3):
            agent.learner.step(obs, np.arange(8) % 3, np.ones(8, np.float32), None)
        after = agent.policy_checkpoint()[0]
        return {name for name in after if not np.array_equal(before[name], after[name])}

    own_network = trained_on_first("none")
    assert own_network
    assert all(name.startswith("network.members.0.") for name in own_network)
    common = trained_on_first("replay")
    assert any(".body." in name for name in common)
    assert not any(name.startswith("network.members.1.head") for name in common)
    network = team().learner.online
    assert isinstance(network, TeamQNetwork)
    assert network.members[0].body is network.members[1].body
    assert network.members[0].head is not network.members[1].head


@pytest.mark.parametrize("share", ["replay", "none"])
def test_a_snapshot_acts_by_whose_turn_it_is(share):
    agent = team(team_config=AgentsConfig(count=AGENTS, share=share))
    agent.iterate()
    loaded = q_policy.load(*copy.deepcopy(agent.policy_checkpoint()))
    obs = np.array([[1, 0, 1, 0], [0, 1, 1, 0], [1, 0, 2, 0]], np.float32)
    np.testing.assert_array_equal(loaded.q_values(obs), agent.learner.values.q_values(obs))
    with torch.no_grad():
        members = [member(torch.from_numpy(obs)).numpy() for member in agent.learner.online.members]
    np.testing.assert_allclose(loaded.q_values(obs), [members[0][0], members[1][1], members[0][2]], rtol=1e-5)
    checkpoint = agent.policy_checkpoint()
    with pytest.raises(ValueError, match="several agents"):
        agents.AGENTS["dqn"].to_onnx(*checkpoint, {})


def test_state_restores_to_the_bit():
    first = team(prioritized=True, n_step=2)
    for _ in range(3):
        first.iterate()
    arrays, meta = copy.deepcopy(first.state())
    envs = copy.deepcopy(first.envs)
    rows = [first.iterate() for _ in range(2)]
    second = team(prioritized=True, n_step=2)
    second.envs = envs
    second.load_state(arrays, meta)
    assert repr([second.iterate() for _ in range(2)]) == repr(rows)
    assert everything(second) == everything(first)


@pytest.mark.parametrize("share", ["replay", "none"])
def test_each_learns_what_to_leave_to_the_other(share):
    agent = build(
        DQNConfig(
            agents=AgentsConfig(count=AGENTS, share=share),
            **{**SMALL, "lr": 5e-3, "network": QNetworkConfig(widths=[32]), "updates_per_step": 0.5, "batch_size": 32},
        ),
        Turns(8),
        total_steps=4000,
    )
    while agent.env_steps < 4000:
        agent.iterate()
    turns = [[1, 0, 0], [0, 1, 1], [0, 1, 0]]  # whose turn, and whether 1 was found
    obs = np.array([[*turn, r, found] for *turn, found in turns for r in range(ROUNDS)], np.float32)
    policy = q_policy.load(*agent.policy_checkpoint())
    best = policy.act(obs, True, np.tile([True, True, True, False], (len(obs), 1))).reshape(3, ROUNDS)
    # The first finds it; the second leaves it to the first, and finds it where the first did not.
    assert (best == [[1], [2], [1]]).all()


def test_the_bonus_for_novelty_is_learned_from_and_not_reported(monkeypatch):
    agent = team(team_config=AgentsConfig(count=AGENTS, credit="none"), novelty_bonus=2.0, learning_starts=10**6)
    rows = collected(agent, monkeypatch)
    base = [
        sum(Turns.reward(turn, actions[turn], (actions[0] == 1) * turn) for turn in range(AGENTS))
        for _, actions, _, _ in rows
    ]
    for (_, _, rewards, _), plain in zip(rows, base, strict=True):
        np.testing.assert_allclose(rewards, np.broadcast_to(plain + AGENTS * 2.0 * 0.25, rewards.shape), rtol=1e-6)
    assert agent.log.metrics()["episode_return_mean"] == pytest.approx(
        np.mean([sum(base[i : i + ROUNDS]) for i in range(0, len(base), ROUNDS)]), rel=1e-5
    )
    monkeypatch.undo()
    alone = build(DQNConfig(novelty_bonus=2.0, **SMALL), Turns())
    alone.iterate()
    assert alone.buffer.sample(64, np.random.default_rng(0)).returns.min() >= 0.5


def test_what_cannot_be_trained_is_one_sentence():
    def refused(match, envs=None, **changes):
        with pytest.raises(ValueError, match=match) as error:
            team(envs, **changes).iterate()
        assert "\n" not in str(error.value)

    refused("the first 2 numbers of an observation must say whose turn", Walk())
    refused("does not go with agent.normalize_obs", normalize_obs=True)
    refused("needs `rewards_without` in the infos", Turns(gives_credit=False))
    with pytest.raises(ValueError, match="needs an environment that gives its state"):
        team().start([1] * 4, cut=True)
    with pytest.raises(ValueError, match="does not learn on a server"):
        team().learn_from({})
    assert isinstance(team(), TeamDQN)
