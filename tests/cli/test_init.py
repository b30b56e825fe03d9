"""`rl-eval init`: a first suite that decides something, and a CI file, for somebody's own environment and policy."""

from __future__ import annotations

import sys
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
import yaml

from rl_eval import plugins
from rl_eval.cli import main
from rl_eval.gates import evaluate_suite, load_suite, named_runs
from rl_eval.gates.first_suite import FirstLook, suite_name

MINE = """\
import gymnasium as gym
import numpy as np

MOVES = np.array([[1, 0], [-1, 0], [0, 1], [0, -1]])


class ToTheMiddle(gym.Env):
    observation_space = gym.spaces.Box(-20, 20, (2,), np.float32)
    action_space = gym.spaces.Discrete(4)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.position, self.steps = self.np_random.uniform(-5, 5, 2), 0
        return self.position.astype(np.float32), {}

    def step(self, action):
        before, self.steps = np.abs(self.position).sum(), self.steps + 1
        self.position = self.position + MOVES[action]
        nearer = float(before - np.abs(self.position).sum())
        return self.position.astype(np.float32), nearer, self.steps == 12, False, {}


def towards(observations):
    return (observations @ MOVES.T).argmin(axis=1)
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(plugins, "_imported", set())
    (tmp_path / "mine.py").write_text(MINE)
    yield tmp_path
    for module in ("mine", "tothemiddle_environment"):
        sys.modules.pop(module, None)
    gym.registry.pop("ToTheMiddle-v0", None)


@pytest.mark.filterwarnings("ignore:.*Overriding environment")
def test_the_first_suite_tells_the_policy_from_a_useless_one(folder, capsys):
    assert main(["init", "--env", "mine:ToTheMiddle", "--policy", "python:mine:towards"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "next: python -m pytest suites/ --rl-run python:mine:towards --rl-trust"
    suite = load_suite(Path("suites/tothemiddle.yaml"), trust=True)
    for policy, decision in (("python:mine:towards", "PASS"), ("random", "FAIL")):
        verdict = evaluate_suite(suite, named_runs(suite, [policy]), trust=True)
        decisions = {row.criterion: row.decision for row in verdict.criteria}
        assert decisions.pop("held_out") == "NOT_CHECKED"
        assert decisions.pop("controls") == "PASS"
        assert decisions["good_enough"] == decision
        assert (decisions["beats_random"] == "PASS") == (decision == "PASS")
    (steps,) = (job["steps"] for job in yaml.safe_load(Path(".github/workflows/gate.yml").read_text())["jobs"].values())
    commands = [step["run"].strip() for step in steps if "run" in step]
    assert commands[1].startswith(lines[-1].removeprefix("next: "))
    assert "outputs/" in Path(".gitignore").read_text().splitlines()


def test_nothing_is_overwritten(folder, capsys):
    Path(".gitignore").write_text("mine\n")
    Path(".gitlab-ci.yml").write_text("theirs: {}\n")
    Path("requirements.txt").write_text("")
    arguments = ["init", "--env", "CartPole-v1", "--policy", "constant:1", "--ci", "gitlab"]
    assert main(arguments) == 0
    output = capsys.readouterr().out
    assert "kept   .gitignore, which exists; add to it: outputs/" in output
    assert "kept   .gitlab-ci.yml, which exists\n" in output
    assert "constant:1 is no better than random" in output
    assert (Path(".gitignore").read_text(), Path(".gitlab-ci.yml").read_text()) == ("mine\n", "theirs: {}\n")
    assert load_suite(Path("suites/cartpole.yaml")).name == "cartpole"
    before = Path("suites/cartpole.yaml").read_bytes()
    assert main(arguments) == 2
    assert "suites/cartpole.yaml exists already" in capsys.readouterr().err
    assert Path("suites/cartpole.yaml").read_bytes() == before


@pytest.mark.parametrize(
    ("env", "policy", "message"),
    [
        ("CartPole-v1", "model.zip", "named sb3:"),
        ("CartPole-v9", "random", "CartPole-v9"),
        ("mine:Missing", "random", "Missing"),
        (":x", "random", "neither an id"),
        ("CartPole-v1", "python:nothing:act", "cannot be loaded"),
        ("///", "random", "gives no name"),
    ],
)
def test_what_cannot_be_played_is_one_sentence_and_writes_nothing(folder, capsys, env, policy, message):
    Path("model.zip").write_text("")
    assert main(["init", "--env", env, "--policy", policy]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not Path("suites").exists()
    gym.registry.pop("Missing-v0", None)


def test_the_bar_is_between_the_policy_and_random_and_the_bounds_are_wider():
    look = FirstLook(np.array([90.0, 110.0]), np.array([10.0, 30.0]))
    assert (look.is_better, look.bar, look.bounds) == (True, 60.0, (-40.0, 160.0))
    worse = FirstLook(look.random, look.policy)
    assert not worse.is_better
    assert worse.bar > 100
    same = FirstLook(np.zeros(3), np.zeros(3))
    assert same.bounds[0] < 0 < same.bar < same.bounds[1]


@pytest.mark.parametrize(
    ("env", "name"),
    [("LunarLander-v3", "lunarlander"), ("ALE/Pong-v5", "pong"), ("my_env:MyEnv", "myenv"), ("a:My-Env-v0", "my_env")],
)
def test_the_suite_is_named_after_the_environment(env, name):
    assert suite_name(env) == name
