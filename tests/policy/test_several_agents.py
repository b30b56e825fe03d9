"""Parallel environments of PettingZoo: one policy for all agents, or one each."""

import sys
from types import ModuleType

import gymnasium as gym
import numpy as np
import pytest

from rl_eval import domains
from rl_eval.domains.gym import DOMAIN, Config
from rl_eval.errors import InputError
from rl_eval.gates import evaluate_suite, load_suite, named_runs
from rl_eval.policy import Spaces, identity, load
from rl_eval.policy._agents import by_agent
from rl_eval.rollout import play

pettingzoo = pytest.importorskip("pettingzoo")
SEEDS = range(20, 26)
BOX = gym.spaces.Box(-1, 1, (3,))


class Walk(pettingzoo.ParallelEnv):
    """Two agents are rewarded for actions by their observations; `a` leaves after 2 to 4 steps, `b` after 5."""

    metadata = {"name": "walk"}

    def __init__(self, spaces=None):
        self.possible_agents = ["a", "b"]
        self._spaces = spaces or {"a": BOX, "b": BOX}
        self.agents = []

    def observation_space(self, agent):
        return self._spaces[agent]

    def action_space(self, agent):
        return gym.spaces.Discrete(3)

    def reset(self, seed=None, options=None):
        self.rng, self.agents, self.time = np.random.default_rng(seed), ["a", "b"], 0
        self.leaves = 2 + int(self.rng.integers(3))
        return self._seen(), {agent: {} for agent in self.agents}

    def _seen(self):
        self.seen = {agent: self.rng.uniform(-1, 1, 3).astype(np.float32) for agent in self.agents}
        return dict(self.seen)

    def step(self, actions):
        assert set(actions) == set(self.agents)
        self.time += 1
        rewards = {agent: float(self.seen[agent][action]) for agent, action in actions.items()}
        terminated = {agent: agent == "a" and self.time == self.leaves for agent in self.agents}
        truncated = dict.fromkeys(self.agents, self.time == 5)
        played = self.agents
        self.agents = [a for a in played if not (terminated[a] or truncated[a])]
        seen = self._seen()
        return seen, rewards, terminated, truncated, {agent: {} for agent in played}


def largest(obs):
    return obs.argmax(axis=1)


def smallest(obs):
    return obs.argmin(axis=1)


@pytest.fixture(autouse=True)
def module(monkeypatch):
    """`their_game`, with an environment and policies."""
    module = ModuleType("their_game")
    module.walk, module.largest, module.smallest = Walk, largest, smallest
    module.odd = lambda: Walk({"a": BOX, "b": gym.spaces.Box(-1, 1, (2,))})
    module.none, module.broken = object, lambda: 1 / 0
    monkeypatch.setitem(sys.modules, "their_game", module)
    return module


def made(env_id="pettingzoo:their_game:walk", n=3, **config):
    config = Config(id=env_id, **config)
    vector = domains.make(config, n_envs=n, part="test", autoreset=False)
    return vector, Spaces.of(config, vector), config


def played(spec, n=3, **config):
    vector, spaces, config = made(n=n, **config)
    return play(vector, load(spec, spaces, config, trust=True), seeds=SEEDS)


def alone(env, **policies):
    """`[episode, agent]` returns in PettingZoo alone."""
    returns = []
    for seed in SEEDS:
        observations, _ = env.reset(seed=seed)
        total = dict.fromkeys(policies, 0.0)
        while env.agents:
            actions = {agent: int(policies[agent](observations[agent][None])[0]) for agent in env.agents}
            observations, rewards, *_ = env.step(actions)
            for agent, reward in rewards.items():
                total[agent] += reward
        returns.append(list(total.values()))
    return np.array(returns)


def last_values(episodes, name):
    """A fact at the end of each episode, as `fact.<name>` has it."""
    return episodes.outcome[name][np.cumsum(episodes.lengths) - 1]


def test_one_policy_acts_for_all_agents():
    expected = alone(Walk(), a=largest, b=largest)
    assert len(np.unique(expected)) == expected.size
    for n in (1, 3, 8):
        episodes = played("python:their_game:largest", n, outcome=["return_a", "return_b"])
        np.testing.assert_allclose(episodes.per_episode("native_reward"), expected.sum(axis=1), atol=1e-6)
        each = np.stack([last_values(episodes, "return_a"), last_values(episodes, "return_b")], axis=1)
        np.testing.assert_allclose(each, expected, atol=1e-6)
        assert episodes.lengths.tolist() == [5] * len(SEEDS)
        assert not episodes.terminated.any()  # `b` is truncated


def test_each_agent_has_a_policy_of_its_own():
    expected = alone(Walk(), a=largest, b=smallest).sum(axis=1)
    spec = "agents:b=python:their_game:smallest+a=python:their_game:largest"
    np.testing.assert_allclose(played(spec).per_episode("native_reward"), expected, atol=1e-6)
    assert identity("agents:a=random+b=constant:1") == identity("agents:b=constant:1+a=random")
    assert identity("agents:a=random+b=constant:1") != identity("agents:a=constant:1+b=random")
    assert by_agent("a=sb3:ppo:m.zip+v.pkl+b_2=onnx:x+y.onnx") == {"a": "sb3:ppo:m.zip+v.pkl", "b_2": "onnx:x+y.onnx"}


def test_a_memory_belongs_to_one_agent_of_one_copy(module):
    class Counts:
        def act(self, obs, episode_start):
            if episode_start.all():
                self.calls = np.zeros(len(obs), int)
            self.calls = np.where(episode_start, 0, self.calls + 1)
            return self.calls % 3

    module.counts = Counts
    for n in (1, 4):
        returns = played("python:their_game:counts", n).per_episode("native_reward")
        if n == 1:
            expected = returns
        np.testing.assert_allclose(returns, expected, atol=1e-9)


def test_an_environment_of_pettingzoo_itself_and_a_model_of_stable_baselines3(tmp_path):
    sb3 = pytest.importorskip("stable_baselines3")
    pytest.importorskip("pygame")
    from pettingzoo.classic import rps_v2

    config = Config(id="pettingzoo:classic.rps_v2", kwargs={"max_cycles": 6}, outcome=["return_player_0"])
    assert DOMAIN.needs_trust(config) is None
    assert DOMAIN.needs_trust(Config(id="pettingzoo:their_game:walk")).endswith("imports a module")
    env = rps_v2.parallel_env(max_cycles=6)
    agent_space, action = env.observation_space("player_0"), env.action_space("player_0")

    class Alone(gym.Env):
        observation_space, action_space = agent_space, action

    model = sb3.PPO("MlpPolicy", Alone(), n_steps=8, batch_size=8, device="cpu", seed=0)
    for parameter in model.policy.parameters():
        parameter.data.normal_()
    model.save(tmp_path / "model")
    spec = f"agents:player_0=sb3:ppo:{tmp_path / 'model'}+player_1=constant:2"

    def own(obs):
        return [model.predict(np.asarray(obs[0]), deterministic=True)[0]]

    expected = alone(env, player_0=own, player_1=lambda obs: [2])
    vector = domains.make(config, n_envs=2, part="test", autoreset=False)
    episodes = play(vector, load(spec, Spaces.of(config, vector), config, trust=True), seeds=SEEDS)
    np.testing.assert_allclose(last_values(episodes, "return_player_0"), expected[:, 0], atol=1e-6)


@pytest.mark.parametrize(
    ("env_id", "message"),
    [
        ("pettingzoo:their_game:nothing", r"cannot be made: .*nothing"),
        ("pettingzoo:their_game:broken", r"cannot be made: division by zero"),
        ("pettingzoo:their_game:none", r"made object: it must be a pettingzoo\.ParallelEnv"),
        ("pettingzoo:classic.no_such_v0", r"cannot be made: No module named"),
        ("pettingzoo:no_such_module:make", r"cannot be made: No module named"),
    ],
)
def test_what_is_no_parallel_environment_is_one_sentence(env_id, message):
    with pytest.raises(InputError, match=rf"^env\.id='{env_id}' .*{message}") as error:
        made(env_id)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("env_id", "spec", "message"),
    [
        ("odd", "python:their_game:largest", r"cannot act for all agents of pettingzoo:their_game:odd: a and b have"),
        ("walk", "agents:a=random", r"names a, but the agents of pettingzoo:their_game:walk are a, b$"),
        ("walk", "agents:a=random+c=random", r"names a, c, but the agents"),
        ("walk", "agents:a=random+b=constant:9", r"policy constant:9 is not an action: the actions are 0 to 2"),
        ("walk", "agents:a=+b=random", r"is not valid: give agents:<agent>=<policy>"),
        ("walk", "agents:random", r"is not valid: give agents:<agent>=<policy>"),
    ],
)
def test_a_policy_that_does_not_fit_the_agents_is_one_sentence(env_id, spec, message):
    _, spaces, config = made(f"pettingzoo:their_game:{env_id}")
    with pytest.raises(InputError, match=message) as error:
        load(spec, spaces, config, trust=True)
    assert "\n" not in str(error.value)


def test_agents_need_an_environment_of_several_and_the_trust_of_their_policies():
    config = Config(id="CartPole-v1")
    vector = domains.make(config, n_envs=1, part="test", autoreset=False)
    spaces = Spaces.of(config, vector)
    with pytest.raises(InputError, match=r"is for several agents, and CartPole-v1 has one: give one policy$"):
        load("agents:a=random+b=random", spaces, config)
    with pytest.raises(InputError, match=r"has 'python:their_game:largest', which imports and runs code: add --trust"):
        load("agents:a=python:their_game:largest+b=random", spaces, config)


class Duel(Walk):
    """`a` loses 1 in each of nine steps, and then gets 1; `b` gets nothing."""

    def step(self, actions):
        self.time += 1
        ended, played = self.time == 10, self.agents
        self.agents = [] if ended else played
        rewards = {"a": 1.0 if ended else -1.0, "b": 0.0}
        every = {"terminated": dict.fromkeys(played, ended), "truncated": dict.fromkeys(played, False)}
        return self._seen(), rewards, *every.values(), {agent: {} for agent in played}


def test_a_suite_judges_the_own_return_of_an_agent(tmp_path, module):
    module.duel = Duel
    (tmp_path / "duel.yaml").write_text(
        "rl_eval: 1\nenv: {id: 'pettingzoo:their_game:duel', outcome: [return_a, return_b]}\ncontrols: []\n"
        "episodes: {max: 80}\ncriteria:\n"
        "  a: {metric: fact.return_a, at_least: 0.5, bounds: [-10, 10]}\n"
        "  b: {metric: fact.return_b, at_least: -0.5, bounds: [-10, 10]}\n"
    )
    suite = load_suite(tmp_path / "duel.yaml", trust=True)
    verdict = evaluate_suite(suite, named_runs(suite, ["random"]), trust=True)
    rows = {each.criterion: each for each in verdict.criteria}
    assert (rows["a"].decision, rows["a"].estimate) == ("FAIL", -8.0)
    assert (rows["b"].decision, rows["b"].estimate) == ("PASS", 0.0)


def test_a_suite_judges_several_agents(tmp_path, monkeypatch):
    (tmp_path / "walk.yaml").write_text(
        "rl_eval: 1\nenv: {id: 'pettingzoo:their_game:walk'}\nepisodes: {max: 80, return_bounds: [-10, 10]}\n"
        "criteria:\n  walks: {metric: mean_return, at_least: 2}\n"
    )
    monkeypatch.chdir(tmp_path)
    suite = load_suite(tmp_path / "walk.yaml", trust=True)
    for policy, decision in (("python:their_game:largest", "PASS"), ("random", "FAIL")):
        verdict = evaluate_suite(suite, named_runs(suite, [policy]), trust=True)
        assert {each.criterion: each.decision for each in verdict.criteria}["walks"] == decision
