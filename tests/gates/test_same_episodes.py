"""Environments that do not obey their seeds, and those without randomness."""

import sys
from types import ModuleType

import gymnasium as gym
import numpy as np
import pytest

from rl_eval.gates import evaluate_suite, load_suite, named_runs
from rl_eval.gates.same_episodes import ONE_EPISODE, SAME_IN_EACH_COPY


class Chance(gym.Env):
    """One step; the reward is 1 in 60 of 100 episodes for action 1. Who draws it, and whether one sees a start."""

    action_space, observation_space = gym.spaces.Discrete(2), gym.spaces.Box(-1, 1, (2,), np.float32)

    def __init__(self, drawn_by="seed", shows=True):
        self.drawn_by, self.shows = drawn_by, shows
        self.own = np.random.default_rng(0 if drawn_by == "constant" else None)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        rng = {"seed": self.np_random, "nothing": np.random.default_rng(0)}.get(self.drawn_by, self.own)
        self.good = rng.random() < 0.6
        start = rng.uniform(-1, 1, 2).astype(np.float32)
        return start if self.shows else np.zeros(2, np.float32), {}

    def step(self, action):
        return np.zeros(2, np.float32), float(self.good and action == 1), True, False, {}


@pytest.fixture(autouse=True)
def _module(monkeypatch):
    module = ModuleType("their_chance")
    module.one = lambda obs: np.ones(len(obs), int)
    monkeypatch.setitem(sys.modules, "their_chance", module)
    gym.register("Chance-v0", Chance, disable_env_checker=True)
    yield
    gym.registry.pop("Chance-v0")


def judged(folder, env, policy, bar):
    (folder / "chance.yaml").write_text(
        f"rl_eval: 1\nenv: {env}\nepisodes: {{max: 200, return_bounds: [-100, 1]}}\ncontrols: []\n"
        f"criteria:\n  wins: {{metric: mean_return, at_least: {bar}, bounds: {'[0, 1]' if bar > 0 else '[-100, 1]'}}}\n"
    )
    suite = load_suite(folder / "chance.yaml")
    return evaluate_suite(suite, named_runs(suite, [policy]), trust=True).criteria[0]


@pytest.mark.parametrize("policy", ["python:their_chance:one", "constant:1"])
@pytest.mark.parametrize("bar", [0.3, 0.99])
@pytest.mark.parametrize("shows", ["true", "false"])
def test_copies_that_play_the_same_episodes_are_no_evidence(tmp_path, shows, policy, bar):
    row = judged(tmp_path, f"{{id: Chance-v0, kwargs: {{drawn_by: constant, shows: {shows}}}}}", policy, bar)
    assert row.decision == "INCONCLUSIVE"
    assert row.detail.endswith(f"≥ {bar}: {SAME_IN_EACH_COPY}")
    assert row.units == 100


@pytest.mark.parametrize(("drawn_by", "shows"), [("seed", "true"), ("seed", "false"), ("entropy", "true")])
def test_independent_episodes_are_evidence(tmp_path, shows, drawn_by):
    """Without a seed they differ when they are played again, and are independent."""
    env = f"{{id: Chance-v0, kwargs: {{drawn_by: {drawn_by}, shows: {shows}}}}}"
    row = judged(tmp_path, env, "python:their_chance:one", 0.3)
    assert row.decision == "PASS"
    assert SAME_IN_EACH_COPY not in row.detail
    assert ONE_EPISODE not in row.detail


@pytest.mark.parametrize(
    ("env", "policy", "bar"),
    [
        ("{id: Chance-v0, kwargs: {drawn_by: nothing}}", "python:their_chance:one", -50),
        ("{id: CliffWalking-v1, max_episode_steps: 9}", "constant:0", -50),
    ],
)
def test_an_environment_without_randomness_is_judged_and_named(tmp_path, env, policy, bar):
    row = judged(tmp_path, env, policy, bar)
    assert row.decision == "PASS"
    assert ONE_EPISODE in row.detail
    assert row.interval[0] <= row.estimate <= row.interval[1]
