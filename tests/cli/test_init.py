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
from rl_eval.cli._init_environment import requirements
from rl_eval.cli._init_files import ci_file
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
    for env_id in ("ToTheMiddle-v0", "Short-v3", "Short-v4", "Short-v5"):
        gym.registry.pop(env_id, None)


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
    arguments = ["init", "--env", "CartPole-v1", "--policy", "constant:1", "--ci", "gitlab"]
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert ".gitlab-ci.yml exists already with another content" in error
    assert "--ci none" in error
    assert not Path("suites").exists()
    assert main([*arguments[:-1], "none"]) == 0
    output = capsys.readouterr().out
    assert "kept   .gitignore, which exists; add to it: outputs/" in output
    assert "constant:1 is no better than random" in output
    assert (Path(".gitignore").read_text(), Path(".gitlab-ci.yml").read_text()) == ("mine\n", "theirs: {}\n")
    assert load_suite(Path("suites/cartpole.yaml")).name == "cartpole"
    with open("suites/cartpole.yaml", "a") as file:
        file.write("# edited\n")
    before = Path("suites/cartpole.yaml").read_bytes()
    assert main([*arguments[:-1], "github"]) == 2
    assert "suites/cartpole.yaml exists already with another content" in capsys.readouterr().err
    assert Path("suites/cartpole.yaml").read_bytes() == before
    assert not Path(".github").exists()


def test_what_is_missing_is_added_to_files_that_are_the_same(folder, capsys):
    arguments = ["init", "--env", "CartPole-v1", "--policy", "constant:1", "--ci"]
    assert main([*arguments, "gitlab"]) == 0
    capsys.readouterr()
    assert main([*arguments, "github"]) == 0
    output = capsys.readouterr().out
    assert "kept   suites/cartpole.yaml, which exists" in output
    assert "wrote  .github/workflows/gate.yml" in output


REGISTERED = """
gym.register("Short-v3", "mine:ToTheMiddle", max_episode_steps=3)
"""


def test_a_class_that_its_module_registers_is_judged_as_registered(folder, capsys):
    with open("mine.py", "a") as file:
        file.write(REGISTERED)
    arguments = ["init", "--env", "mine:ToTheMiddle", "--policy", "python:mine:towards"]
    assert main(arguments) == 0
    assert "judges mine:Short-v3, which is how mine:ToTheMiddle is registered" in capsys.readouterr().out
    assert gym.registry["Short-v3"].max_episode_steps == 3
    assert "ToTheMiddle-v0" not in gym.registry
    assert sorted(file.name for file in Path("suites").iterdir()) == ["tothemiddle.yaml"]
    assert load_suite(Path("suites/tothemiddle.yaml"), trust=True).env.id == "mine:Short-v3"


def test_a_class_with_two_ids_must_be_named_by_one(folder, capsys):
    with open("mine.py", "a") as file:
        file.write(
            REGISTERED + 'gym.register("Short-v4", lambda: ToTheMiddle())\ngym.register("Short-v5", ToTheMiddle)\n'
        )
    assert main(["init", "--env", "mine:ToTheMiddle", "--policy", "random"]) == 2
    error = capsys.readouterr().err
    assert "is registered as Short-v3, Short-v5: name the one to judge, such as --env mine:Short-v3" in error


def test_an_id_that_something_else_has_is_not_taken_from_it(folder, capsys):
    with open("mine.py", "a") as file:
        file.write('\ngym.register("ToTheMiddle-v0", "mine:other")\n')
    assert main(["init", "--env", "mine:ToTheMiddle", "--policy", "random"]) == 2
    error = capsys.readouterr().err
    assert "the id ToTheMiddle-v0, which the class would get, is registered with mine:other" in error
    assert "--env mine:MyToTheMiddle-v0" in error
    assert gym.registry["ToTheMiddle-v0"].entry_point == "mine:other"


TWO = """
from gymnasium.spaces import Box, Discrete
from pettingzoo import ParallelEnv


class Duo(ParallelEnv):
    metadata = {"name": "duo_v0"}
    possible_agents = ["left", "right"]

    def observation_space(self, agent):
        return Box(0, 1, (1,), np.float32)

    def action_space(self, agent):
        return Discrete(2)

    def reset(self, seed=None, options=None):
        self.agents = list(self.possible_agents)
        return {agent: np.zeros(1, np.float32) for agent in self.agents}, {agent: {} for agent in self.agents}

    def step(self, actions):
        agents, self.agents = self.agents, []
        observations = {agent: np.zeros(1, np.float32) for agent in agents}
        rewards = {agent: float(actions[agent]) for agent in agents}
        return observations, rewards, dict.fromkeys(agents, True), dict.fromkeys(agents, False), {a: {} for a in agents}


def parallel_env():
    return Duo()


def right(observations):
    return np.ones(len(observations), int)
"""


def test_an_environment_of_several_agents_gets_a_first_suite(folder, capsys):
    pytest.importorskip("pettingzoo")
    with open("mine.py", "a") as file:
        file.write(TWO)
    assert main(["init", "--env", "pettingzoo:mine:parallel_env", "--policy", "python:mine:right"]) == 0
    assert capsys.readouterr().out.endswith("--rl-run python:mine:right --rl-trust\n")
    suite = load_suite(Path("suites/mine.yaml"), trust=True)
    verdict = evaluate_suite(suite, named_runs(suite, ["python:mine:right"]), trust=True)
    assert {row.criterion: row.decision for row in verdict.criteria}["good_enough"] == "PASS"
    assert "[pettingzoo]'" in Path(".github/workflows/gate.yml").read_text()


@pytest.mark.parametrize(
    ("env", "policy", "needed"),
    [
        ("CartPole-v1", "random", ([], [])),
        ("LunarLander-v3", "random", (["box2d"], [])),
        ("LunarLander-v3", "sb3:ppo:model.zip", (["sb3", "box2d"], [])),
        ("pettingzoo:classic.rps_v2", "agents:a=onnx:a.onnx+b=sb3:ppo:b.zip", (["sb3", "onnx", "pettingzoo"], [])),
        ("CartPole-v1", "ensemble:sklearn:a.skops+python:onnx:act", (["sklearn"], [])),
        ("CartPole-v1", "torchscript:policy.pt", ([], ["torch"])),
    ],
)
def test_ci_installs_what_environment_and_policy_need(env, policy, needed):
    assert requirements(env, policy) == needed
    text = ci_file("github", "judge", *needed, requirements=False)
    extras, packages = needed
    assert f"[{','.join(extras)}]'{''.join(f' {name}' for name in packages)}\n" in text or not extras
    assert all(f" {name}\n" in text for name in packages)


@pytest.mark.parametrize(
    ("env", "policy", "message"),
    [
        ("CartPole-v1", "model.zip", "named sb3:"),
        ("CartPole-v9", "random", "CartPole-v9"),
        ("mine:ToTheMidle", "random", "--env mine:ToTheMidle: mine has no 'ToTheMidle': did you mean 'ToTheMiddle'"),
        ("nowhere:Env", "random", "--env nowhere:Env: the module 'nowhere' cannot be imported"),
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
    [
        ("LunarLander-v3", "lunarlander"),
        ("ALE/Pong-v5", "pong"),
        ("my_env:MyEnv", "myenv"),
        ("a:My-Env-v0", "my_env"),
        ("pettingzoo:classic.rps_v2", "rps"),
        ("pettingzoo:my.duo:parallel_env", "duo"),
    ],
)
def test_the_suite_is_named_after_the_environment(env, name):
    assert suite_name(env) == name
