"""Modules of policies and environments: next to the suite, or not to be found."""

from __future__ import annotations

import pytest

from tests.pytest_plugin.pole_project import output

pytest_plugins = "pytester"

ENVIRONMENT = """\
import gymnasium as gym
from gymnasium.envs.classic_control import CartPoleEnv

gym.register("NextToSuite-v0", CartPoleEnv, max_episode_steps=20)
"""


def test_a_policy_and_an_environment_next_to_the_suite_are_found(project):
    suites = project.path / "suites"
    (suites / "pole.yaml").write_text(
        "rl_eval: 1\nenv: {id: 'environment_here:NextToSuite-v0'}\nepisodes: {fixed: 3}\ncontrols: []\n"
        "criteria: {stands: {metric: mean_length, at_least: 1, by: estimate}}\n"
    )
    (suites / "environment_here.py").write_text(ENVIRONMENT)
    (suites / "policy_here.py").write_text("def act(observations):\n    return (observations[:, 2] > 0).astype(int)\n")
    arguments = ("suites/", "--rl-run", "python:policy_here:act")
    project.runpytest_inprocess(*arguments, "--rl-trust").assert_outcomes(passed=1)
    assert "passed" not in output(project.runpytest_inprocess(*arguments))


@pytest.mark.parametrize(
    ("env", "policy"),
    [
        ("{id: 'no_such:Env-v0'}", "random"),
        ("{id: 'pettingzoo:no_such:parallel_env'}", "random"),
        ("{id: CartPole-v1, wrappers: ['no_such:Wrapper']}", "random"),
        ("{id: CartPole-v1}", "python:no_such:act"),
    ],
)
def test_a_module_that_is_not_found_comes_with_where_it_is_looked_for(project, env, policy):
    if "pettingzoo" in env:
        pytest.importorskip("pettingzoo")
    (project.path / "suites" / "pole.yaml").write_text(
        f"rl_eval: 1\nenv: {env}\nepisodes: {{fixed: 3}}\ncontrols: []\n"
        "criteria: {stands: {metric: mean_length, at_least: 1, by: estimate}}\n"
    )
    result = project.runpytest_inprocess("suites/", "--rl-run", policy, "--rl-trust")
    assert "(`python -m pytest` finds modules in the folder it runs in, plain `pytest` does not)" in output(result)
