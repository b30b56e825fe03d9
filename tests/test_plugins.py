"""Plugins named in a config or a suite: they are imported with consent, and nothing else is."""

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import gymnasium as gym
import pytest

from rl_eval import plugins, policy
from rl_eval.errors import InputError
from rl_eval.gates import load_suite, suites_for
from rl_eval.plugins import import_plugins, require_plugins, require_plugins_of_run
from rl_eval.rewards import RewardFunction
from rl_eval.target import resolve
from tests.gates.fake_runs import write_run, write_suite

ROOT = Path(__file__).resolve().parents[1]
SOURCE = """
import numpy as np
from rl_eval.rewards import RewardTerm

class Pace(RewardTerm):
    def __call__(self, outcome):
        return np.full(len(outcome["native_reward"]), -1.0)
"""
SUITE = """
rl_eval: 1
plugins: [{module}]
env: {env}
episodes: {{max: 50, return_bounds: [0, 500]}}
criteria:
  c: {{metric: mean_return, at_least: 475}}
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    """The name of a module in the current folder, which is not on `sys.path`."""
    monkeypatch.setattr(plugins, "_imported", set())
    monkeypatch.setattr(sys, "path", [place for place in sys.path if place])
    monkeypatch.chdir(tmp_path)
    name = f"plugin_{tmp_path.name.strip('_').replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(SOURCE)
    yield name
    sys.modules.pop(name, None)


def reward(module):
    return RewardFunction.from_config({"pace": {"_target_": f"{module}.Pace"}})


def test_a_target_is_resolved_in_a_plugin_and_in_no_module_that_is_not_one(module, tmp_path):
    with pytest.raises(InputError, match="is not allowed"):
        reward(module)
    import_plugins([module], tmp_path)
    assert reward(module).terms["pace"][1].__class__ is sys.modules[module].Pace
    for other in ("subprocess.run", f"{module}x.Pace", "os.system"):
        with pytest.raises(InputError, match="is not allowed"):
            resolve(other)


def test_a_module_of_a_package_that_is_a_plugin_is_resolved(module, tmp_path):
    package = tmp_path / f"{module}_package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "rewards.py").write_text(SOURCE)
    import_plugins([package.name], tmp_path)
    assert resolve(f"{package.name}.rewards.Pace").__name__ == "Pace"


@pytest.mark.parametrize("name", ["", "os; rm", ".relative", "a..b", "1a", "a-b", 3, None])
def test_what_is_not_the_name_of_a_module_is_refused(name, tmp_path):
    with pytest.raises(InputError, match="is not a module"):
        import_plugins([name], tmp_path)


@pytest.mark.parametrize(
    "source", ["raise OSError('broken\\nin two lines')", "import nowhere_at_all", "1 +", "raise SystemExit(3)"]
)
def test_a_plugin_that_cannot_be_imported_is_one_sentence(module, tmp_path, source):
    (tmp_path / f"{module}.py").write_text(source)
    with pytest.raises(InputError, match=f"the plugin '{module}' cannot be imported") as error:
        import_plugins([module], tmp_path)
    assert "\n" not in str(error.value)
    assert "it must be in" not in str(error.value)


def test_a_plugin_that_is_not_there_is_said_where_to_put(module, tmp_path):
    with pytest.raises(InputError, match=f"it must be in {tmp_path}"):
        import_plugins([f"{module}_elsewhere"], tmp_path)


def test_an_error_in_a_plugin_is_shown_with_its_line(module, tmp_path):
    (tmp_path / f"{module}.py").write_text("one = 1\none / 0\n")
    with pytest.raises(InputError, match=rf"ZeroDivisionError.*{module}\.py:2"):
        import_plugins([module], tmp_path)


def test_a_plugin_lies_in_the_folder_that_is_given_or_in_the_current_one(module, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / f"{module}_here.py").write_text("")
    (tmp_path / "suites").mkdir()
    monkeypatch.chdir(tmp_path)
    import_plugins([f"{module}_here"], tmp_path / "suites")
    with pytest.raises(InputError, match=r"is not a module: it must be in .*suites or "):
        import_plugins([f"{module}_nowhere"], tmp_path / "suites")


def test_a_file_that_names_plugins_needs_trust_until_they_are_imported(module, tmp_path):
    with pytest.raises(InputError, match=f"a.yaml names the plugin '{module}', .*--trust"):
        require_plugins([module], tmp_path, "a.yaml", trust=False)
    assert module not in sys.modules
    require_plugins([module], tmp_path, "a.yaml", trust=True)
    require_plugins([module], tmp_path, "a.yaml", trust=False)


@pytest.mark.parametrize("names", ["text", {"a": 1}, 3, [3]])
def test_a_damaged_list_of_a_run_is_one_sentence(tmp_path, names):
    with pytest.raises(InputError, match="plugins"):
        require_plugins_of_run(tmp_path, {"plugins": names}, trust=True)


def test_a_run_without_plugins_needs_no_trust(tmp_path):
    for config in ({}, {"plugins": []}, {"plugins": None}):
        require_plugins_of_run(tmp_path, config, trust=False)


def test_the_policy_of_a_run_with_plugins_is_loaded_with_trust(module, tmp_path):
    directory = write_run(tmp_path / "run", config={"plugins": [module]}).path
    spaces = policy.Spaces("cartpole", gym.spaces.Box(-9, 9, (4,)), gym.spaces.Discrete(2))
    with pytest.raises(InputError, match="--trust"):
        policy.load(str(directory), spaces, None)
    assert module not in sys.modules
    with contextlib.suppress(InputError):  # the run holds a policy of a test elsewhere
        policy.load(str(directory), spaces, None, trust=True)
    assert module in sys.modules


def test_a_suite_imports_a_module_beside_it_with_trust(module, tmp_path):
    suite = write_suite(tmp_path / "s.yaml", SUITE.format(module=module, env="cartpole"))
    with pytest.raises(InputError, match=r"s\.yaml:3: .*--trust"):
        load_suite(suite)
    assert load_suite(suite, trust=True).spec.plugins == [module]


def test_training_is_not_disturbed_by_a_suite_of_another_environment_with_plugins(module, tmp_path):
    write_suite(tmp_path / "suites" / "a.yaml", SUITE.format(module=module, env="lunarlander"))
    config = {"env": {"name": "cartpole"}, "agent": {"name": "ppo"}}
    assert suites_for(config, tmp_path / "suites") == []
    write_suite(tmp_path / "suites" / "b.yaml", SUITE.format(module=module, env="cartpole"))
    with pytest.raises(InputError, match="--trust"):
        suites_for(config, tmp_path / "suites")
    import_plugins([module], tmp_path)  # as `plugins=[…]` on the command line does
    assert [suite.name for suite in suites_for(config, tmp_path / "suites")] == ["b"]


def run(*command, cwd):
    done = subprocess.run(
        [sys.executable, *command],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    return done.returncode, done.stdout + done.stderr


def test_a_reward_term_of_a_plugin_trains_and_its_run_needs_trust_elsewhere(module, tmp_path):
    status, output = run(
        str(ROOT / "train.py"),
        "env=cartpole",
        f"plugins=[{module}]",
        f"+reward.terms.pace={{_target_: {module}.Pace, weight: 0.1}}",
        "total_steps=256",
        "agent.n_envs=2",
        "agent.n_steps=64",
        "agent.batch_size=64",
        "agent.n_epochs=1",
        "validation.every=256",
        "validation.episodes=2",
        cwd=tmp_path,
    )
    assert status == 0, output
    (directory,) = (tmp_path / "outputs").glob("*/*")
    header = (directory / "metrics.csv").read_text().splitlines()[0].split(",")
    assert "reward/pace" in header
    assert f"plugins:\n- {module}\n" in (directory / "config.yaml").read_text()
    without = run("-m", "rl_eval.cli", "doctor", str(directory), cwd=tmp_path)
    assert f"names the plugin '{module}'" in " ".join(without[1].split())
    assert "Traceback" not in without[1]
    trusted = run("-m", "rl_eval.cli", "doctor", str(directory), "--trust", cwd=tmp_path)
    assert "names the plugin" not in " ".join(trusted[1].split())
    assert "Traceback" not in trusted[1]
