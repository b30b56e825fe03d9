"""A verdict is cached only where everything that it depends on can be hashed."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import os

import gymnasium as gym
import pytest
from gymnasium.envs.classic_control.cartpole import CartPoleEnv
from gymnasium.envs.registration import EnvSpec, WrapperSpec

import agents
from rl_eval import domains
from rl_eval.diagnostics import DIAGNOSTICS
from rl_eval.domains import DOMAINS
from rl_eval.domains.gym import Config
from rl_eval.gates import load_suite, named_runs
from rl_eval.metrics import METRICS
from rl_eval.policy import SOURCES, canonical
from rl_eval.pytest_plugin import _cache_key
from rl_eval.pytest_plugin._cache_key import findings_key, verdict_key
from tests.gates.fake_runs import FALL, write_run, write_suite
from tests.policy.sb3_models import write_model

SUITE = "rl_eval: 1\nenv: cartpole\ncriteria:\n  c: {metric: mean_return, at_least: 400, by: estimate}\n"


def key(tmp_path, judged, text=SUITE):
    suite = load_suite(write_suite(tmp_path / "s.yaml", text))
    return verdict_key(suite, named_runs(suite, [judged]))


def test_the_key_follows_runs_policies_and_the_suite(tmp_path):
    run, other = write_run(tmp_path / "run").path, write_run(tmp_path / "other", rule=FALL).path
    first = key(tmp_path, run)
    assert first == key(tmp_path, run)
    changed = SUITE.replace("400", "401")
    reference = SUITE.replace("at_least: 400", f"better_than: {other}")
    keys = [first, key(tmp_path, other), key(tmp_path, "random"), key(tmp_path, run, changed)]
    keys.append(key(tmp_path, run, reference))
    (other / "snapshots" / "step_100" / "policy.safetensors").write_bytes(b"changed")
    keys.append(key(tmp_path, run, reference))
    assert None not in keys
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize("name", ["metrics.csv", "seen.npz"])
def test_a_run_with_a_file_that_is_no_regular_file_has_no_key(tmp_path, name):
    run = write_run(tmp_path / "run").path
    (run / name).unlink(missing_ok=True)
    os.mkfifo(run / name)
    assert key(tmp_path, run) is None


@pytest.mark.parametrize("judged", ["python:a:b", "http://127.0.0.1:1/", "sb3:ppo:model.zip", "onnx:missing.onnx"])
def test_policies_with_code_servers_or_missing_files_have_no_key(tmp_path, judged):
    assert key(tmp_path, judged) is None


def test_a_model_of_stable_baselines3_has_a_key_unless_its_pickle_names_code_of_ones_own(tmp_path):
    own = write_model(tmp_path / "own.zip", pickles={"policy_class": b"ctests.policy.policies\nPolicy\n."})
    plain = write_model(tmp_path / "plain.zip")
    assert key(tmp_path, f"sb3:ppo:{plain}") not in (None, key(tmp_path, f"sb3:a2c:{plain}"))
    assert key(tmp_path, f"sb3:ppo:{own}") is None
    assert key(tmp_path, "random", SUITE.replace("at_least: 400", f"better_than: 'sb3:ppo:{plain}'")) is not None
    assert key(tmp_path, "random", SUITE.replace("at_least: 400", f"better_than: 'sb3:ppo:{own}'")) is None


def test_the_key_follows_the_bytes_of_a_file_and_trust(tmp_path):
    model = tmp_path / "model.onnx"
    model.write_bytes(b"1")
    suite = load_suite(write_suite(tmp_path / "s.yaml", SUITE))
    selection = named_runs(suite, [f"onnx:{model}"])
    keys = [verdict_key(suite, selection), verdict_key(suite, selection, trust=True)]
    model.write_bytes(b"2")
    keys.append(verdict_key(suite, selection))
    assert None not in keys
    assert len(set(keys)) == 3


def test_the_key_is_that_of_the_file_however_its_path_is_spelled(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("model.zip", "other.zip"):
        (tmp_path / name).write_bytes(name.encode())
    (tmp_path / "latest.zip").symlink_to("model.zip")
    suite = load_suite(write_suite(tmp_path / "s.yaml", SUITE))

    def keys(*specs):
        return {verdict_key(suite, named_runs(suite, [canonical(spec)])) for spec in specs}

    onnx = keys("onnx:model.zip", f"onnx:{tmp_path}//model.zip", "onnx:./latest.zip")
    assert len(onnx) == 1
    different = onnx | keys("onnx:other.zip")
    assert len(different) == 2
    assert None not in different


def test_there_is_no_key_where_a_package_extends_this_one(tmp_path, monkeypatch):
    assert key(tmp_path, "random") is not None
    point = importlib.metadata.EntryPoint("other", "other_package.metrics", "rl_eval.metrics")
    monkeypatch.setattr(_cache_key, "entry_points", lambda group: [point] if group == point.group else [])
    assert key(tmp_path, "random") is None


@pytest.mark.parametrize("registry", [METRICS, DOMAINS, SOURCES, DIAGNOSTICS], ids=lambda registry: registry.group)
def test_there_is_no_key_where_other_code_registers_something(tmp_path, monkeypatch, registry):
    run = write_run(tmp_path / "run").path
    assert None not in (key(tmp_path, run), findings_key(str(run)))
    monkeypatch.setitem(registry._registered, "theirs", object())
    assert registry.added == ["theirs"]
    assert key(tmp_path, run) is None
    assert findings_key(str(run)) is None


@pytest.mark.parametrize("adds", ["an agent", "a body", "another ppo"])
def test_there_is_no_key_where_other_code_registers_agents(tmp_path, monkeypatch, adds):
    run = write_run(tmp_path / "run").path
    assert None not in (key(tmp_path, run), findings_key(str(run)))
    if adds == "a body":
        monkeypatch.setitem(agents.BODIES, "theirs", "their_module:Body")
    else:
        name = "ppo" if adds == "another ppo" else "theirs"
        entry = dataclasses.replace(agents.AGENTS["ppo"], policy_target="their_module:load")
        monkeypatch.setitem(agents.AGENTS, name, entry)
    assert key(tmp_path, run) is None
    assert findings_key(str(run)) is None


@pytest.fixture
def register_environment(monkeypatch):
    """A function that registers a Gymnasium id until the test ends."""

    def register(**attributes):
        monkeypatch.setitem(gym.registry, "Theirs-v0", EnvSpec("Theirs-v0", **attributes))

    return register


CARTPOLE = "gymnasium.envs.classic_control.cartpole:CartPoleEnv"
THEIRS = "rl_eval: 1\nenv: {id: Theirs-v0}\n" + SUITE.split("\n", 2)[2]


@pytest.mark.parametrize(
    "attributes",
    [
        {"entry_point": "their_module:Env"},
        {"entry_point": CartPoleEnv},
        {"entry_point": CARTPOLE, "vector_entry_point": "their_module:VectorEnv"},
        {"entry_point": CARTPOLE, "additional_wrappers": (WrapperSpec("w", "their_module:Wrapper", {}),)},
        {"entry_point": CARTPOLE, "kwargs": {"their": object()}},
    ],
    ids=["module", "class", "vector", "wrapper", "argument"],
)
def test_there_is_no_key_for_an_environment_of_other_code(tmp_path, register_environment, attributes):
    register_environment(entry_point=CARTPOLE)
    suite = load_suite(write_suite(tmp_path / "s.yaml", THEIRS))
    selection = named_runs(suite, ["random"])
    assert verdict_key(suite, selection) is not None
    register_environment(**attributes)
    assert verdict_key(suite, selection) is None


def test_the_key_follows_the_registration_of_an_environment(tmp_path, register_environment):
    keys = []
    for steps in (10, 20):
        register_environment(entry_point=CARTPOLE, max_episode_steps=steps)
        keys.append(key(tmp_path, "random", THEIRS))
    assert None not in keys
    assert len(set(keys)) == 2


def test_there_is_no_key_where_an_argument_of_the_environment_names_a_file(tmp_path):
    (tmp_path / "model.xml").write_text("")
    config = Config(id="CartPole-v1", kwargs={"xml_file": str(tmp_path / "model.xml")})
    assert domains.domain("gym").code_identity(config) is None
    (tmp_path / "model.xml").unlink()
    assert domains.domain("gym").code_identity(config) is not None


def test_a_package_that_is_installed_anew_under_the_same_version_is_another(monkeypatch):
    class Package:
        name, version, record = "box2d", "0.0", "a,sha256=1,2"

        def read_text(self, name):
            return self.record if name == "RECORD" else None

    monkeypatch.setattr(_cache_key, "distributions", lambda: [Package()])
    before = _cache_key._packages.__wrapped__()
    assert before == _cache_key._packages.__wrapped__()
    for change in ({"record": "a,sha256=2,2"}, {"record": None}, {"version": "0.1"}):
        with monkeypatch.context() as patch:
            for name, value in change.items():
                patch.setattr(Package, name, value)
            assert _cache_key._packages.__wrapped__() != before


def test_the_key_follows_the_versions_of_installed_packages(tmp_path, monkeypatch):
    first = key(tmp_path, "random")
    monkeypatch.setattr(_cache_key, "_packages", lambda: "box2d 0.0")
    assert key(tmp_path, "random") not in (None, first)
