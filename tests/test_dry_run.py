"""An environment of somebody else that fails, or returns something else than it must, is one sentence."""

import gymnasium as gym
import numpy as np
import pytest

from rl_eval import config as configs
from rl_eval import domains
from rl_eval.diagnostics import list_diagnostics
from rl_eval.domains import DOMAINS, Domain
from rl_eval.dry_run import dry_run
from rl_eval.envs.gymnasium_vector import GymnasiumVector
from rl_eval.errors import InputError
from rl_eval.metrics import list_metrics


class Env(gym.Env):
    observation_space = gym.spaces.Box(-1, 1, (2,), np.float32)
    action_space = gym.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        return np.zeros(2, np.float32), {}

    def step(self, action):
        return np.zeros(2, np.float32), 1.0, False, False, {}


class Vector(GymnasiumVector):
    def __init__(self, count=1, reset=lambda *result: result, step=lambda *result: result):
        super().__init__([Env() for _ in range(count)])
        self.change_reset, self.change_step = reset, step

    def reset(self, *, seed=None, options=None):
        return self.change_reset(*super().reset(seed=seed, options=options))

    def step(self, actions):
        return self.change_step(*super().step(actions))


def fail(*_):
    raise RuntimeError("no connection\nto the test bench")


class Foreign(Domain):
    name = "foreign"
    vector = staticmethod(Vector)

    def make(self, config, *, n_envs, part, autoreset=True):
        return self.vector()

    def facts(self, config):
        return ("native_reward",)


@pytest.fixture
def foreign(monkeypatch):
    monkeypatch.setattr(DOMAINS, "_registered", dict(DOMAINS._registered))
    return domains.register(Foreign())


def config():
    terms = {"native": {"_target_": "rl_eval.rewards.Native"}}
    sections = {"agent": {"name": "ppo"}, "env": {"name": "foreign"}, "tracker": {"name": "none"}}
    return configs.load({**sections, "reward": {"terms": terms}, "total_steps": 1})


def test_an_environment_that_keeps_the_contract_is_taken(foreign):
    assert dry_run(config()).env == "foreign"


@pytest.mark.parametrize(
    ("vector", "message"),
    [
        (fail, r"failed .* RuntimeError: no connection to the test bench \(.*test_dry_run\.py:\d+\)"),
        (lambda: exec("raise SystemExit(3)"), "SystemExit"),
        (lambda: None, "made NoneType"),
        (Env, "made Env"),
        (lambda: Vector(2), "made 2 copies"),
        (lambda: Vector(reset=fail), "no connection"),
        (lambda: Vector(reset=lambda obs, infos: obs), "failed in its first step"),
        (lambda: Vector(reset=lambda obs, infos: (obs[:, :1], infos)), r"float32 \(1, 1\)"),
        (lambda: Vector(step=lambda obs, *rest: (None, *rest)), r"observations None"),
        (lambda: Vector(step=lambda obs, rewards, *rest: (obs, np.ones(7), *rest)), r"rewards float64 \(7,\)"),
        (lambda: Vector(step=lambda *result: (*result[:4], {})), r"infos\['outcome'\]"),
        (lambda: Vector(step=lambda *result: (*result[:4], {"outcome": {"x": np.ones(1)}})), "fact 'native_reward'"),
        (
            lambda: Vector(step=lambda *result: (*result[:4], {"outcome": {"native_reward": np.ones(7)}})),
            r"fact 'native_reward' float64 \(7,\)",
        ),
    ],
)
def test_an_environment_that_does_not_is_one_sentence(vector, message, foreign, monkeypatch):
    monkeypatch.setattr(Foreign, "vector", staticmethod(vector))
    with pytest.raises(InputError, match=message) as raised:
        dry_run(config())
    assert "\n" not in str(raised.value)


def test_a_fact_that_training_does_not_have_is_named_as_held_out(foreign, monkeypatch):
    monkeypatch.setattr(Foreign, "facts", lambda self, config: ("native_reward", "judge"))
    with pytest.raises(InputError, match="fact 'judge'"):
        dry_run(config())
    monkeypatch.setattr(Foreign, "held_out_facts", ("judge",))
    assert dry_run(config()).env == "foreign"


def test_a_domain_without_a_validation_metric_needs_one_in_the_config(foreign, monkeypatch):
    monkeypatch.setattr(Foreign, "validation_metric", lambda self, config: None)
    with pytest.raises(InputError, match=r"give validation\.metric="):
        config()


@pytest.mark.parametrize("part", ["metrics", "diagnostics"])
@pytest.mark.parametrize("method", [fail, lambda self: [3], lambda self: None])
def test_a_domain_whose_metrics_cannot_be_listed_hides_no_other(part, method, foreign, monkeypatch):
    list_all = {"metrics": list_metrics, "diagnostics": list_diagnostics}[part]
    before = [entry.name for entry in list_all()]
    monkeypatch.setattr(Foreign, part, method)
    with pytest.warns(UserWarning, match=f"the {part} of the domain 'foreign' are ignored"):
        assert [entry.name for entry in list_all()] == before
