"""How many processes step the copies of a Gymnasium environment."""

import functools
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
from pydantic import ValidationError

from rl_eval.domains import domain
from rl_eval.domains.gym import DOMAIN, Config
from rl_eval.envs import process_count
from rl_eval.envs.gymnasium_vector import GymnasiumVector
from rl_eval.envs.workers_vector import WorkersVector
from rl_eval.errors import InputError
from rl_eval.gates.suite import load_suite
from rl_eval.gates.suite_files import matches_environment

ROOT = Path(__file__).resolve().parents[2]


def choose(env_id, n_envs=64, workers="auto", slow_steps=True, **kwargs):
    return process_count.process_count(workers, gym.spec(env_id), kwargs, n_envs, slow_steps=slow_steps)


@pytest.fixture
def alone(monkeypatch):
    """This process works for no other one, and has two cores."""
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)
    monkeypatch.setattr(process_count, "cores", lambda: 2)


def test_auto_takes_two_where_the_domain_says_that_steps_are_slow(alone):
    assert choose("LunarLander-v3") == 2
    assert choose("LunarLander-v3", continuous=True) == 2
    assert choose("LunarLander-v3", n_envs=1) == 1
    assert choose("CartPole-v1", slow_steps=False) == 1
    assert domain("lunarlander").slow_steps
    assert not domain("cartpole").slow_steps


def test_auto_takes_one_where_this_process_is_a_worker_or_has_one_core(alone, monkeypatch):
    monkeypatch.setattr(process_count, "cores", lambda: 1)
    assert choose("LunarLander-v3") == 1
    monkeypatch.setattr(process_count, "cores", lambda: 2)
    monkeypatch.setenv("PYTEST_XDIST_WORKER", "gw0")
    assert choose("LunarLander-v3") == 1
    assert choose("LunarLander-v3", workers=3) == 3, "a number that is named is taken"


def test_what_is_not_plain_json_stays_in_one_process(alone):
    assert choose("LunarLander-v3", gravity=np.float32(-9)) == 1
    assert choose("FrozenLake-v1", desc=("SF", "FG")) == 1  # a list there would not be the same
    gym.register("Local-v0", lambda: gym.make("CartPole-v1"))
    try:
        assert choose("Local-v0") == 1
        with pytest.raises(InputError, match=r"env\.workers=2: .* env\.id='Local-v0': its entry_point .*=1$"):
            DOMAIN.make(Config(id="Local-v0", workers=2), n_envs=4, part="train")
    finally:
        del gym.registry["Local-v0"]


class TopLevel(gym.Env):
    """Can be imported by another process."""

    observation_space = gym.spaces.Box(0, 9, (1,), np.float32)
    action_space = gym.spaces.Discrete(2)

    def __init__(self, step=1):
        self.size = step

    def reset(self, *, seed=None, options=None):
        self.at = 0
        return np.zeros(1, np.float32), {}

    def step(self, action):
        self.at += self.size
        return np.full(1, self.at, np.float32), float(action), False, False, {}


def entry_points():
    class Nested(TopLevel):
        pass

    return {
        "a class": (TopLevel, None),
        "a local class": (Nested, r"entry_point .*Nested.* top level"),
        "a lambda": (lambda: TopLevel(), "entry_point .*lambda.* top level"),
        "a partial": (functools.partial(TopLevel), "entry_point .*partial.* top level"),
    }


@pytest.mark.parametrize("kind", entry_points())
def test_a_class_as_entry_point_is_made_by_its_name_in_another_process(kind):
    entry_point, reason = entry_points()[kind]
    gym.register("ByClass-v0", entry_point, max_episode_steps=3)
    config = Config(id="ByClass-v0", workers=2, kwargs={"step": 2} if reason is None else {})
    try:
        if reason is not None:
            with pytest.raises(InputError, match=reason):
                DOMAIN.make(config, n_envs=4, part="train")
            return
        vector = DOMAIN.make(config, n_envs=4, part="train")
        assert isinstance(vector, WorkersVector)
        vector.reset(seed=0)
        assert vector.step(np.zeros(4, int))[0].tolist() == [[2.0]] * 4
        vector.close()
    finally:
        del gym.registry["ByClass-v0"]


@pytest.mark.parametrize("count", [0, 1])
def test_none_and_one_are_this_process_alone(count):
    vector = DOMAIN.make(Config(id="LunarLander-v3", workers=count), n_envs=64, part="train")
    assert type(vector) is GymnasiumVector
    vector.close()


def test_there_are_no_more_processes_than_copies():
    assert choose("LunarLander-v3", n_envs=3, workers=50) == 3


@pytest.mark.parametrize("count", [-1, 1.5, "many", None])
def test_other_numbers_are_refused(count):
    with pytest.raises(ValidationError, match="workers"):
        Config(workers=count)


def test_a_suite_judges_runs_however_many_processes_stepped_them(tmp_path):
    suite = load_suite(ROOT / "suites" / "lunarlander.yaml", "suites/lunarlander.yaml")
    assert all(matches_environment(suite, {"name": "lunarlander", "workers": count}) for count in (1, 2, "auto"))
    assert not matches_environment(suite, {"name": "lunarlander", "workers": 1, "kwargs": {"gravity": -5}})
