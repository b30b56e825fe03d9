"""Values of two verdicts compare only where all that defines them is equal."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from rl_eval.compare.verdict_files import compare_verdict_files
from rl_eval.errors import InputError
from rl_eval.gates import evaluate_suite, named_runs, read_release, with_release
from rl_eval.gates.suite import parse_suite
from rl_eval.gates.verdict_file import write_verdict_file

SUITE = """\
rl_eval: 1
env: {id: "%s", success_return: %s}
episodes: {min: 20, max: 20, return_bounds: [0, 500]}
controls: []
criteria:
  reliable: {metric: success_rate, at_least: 0.6, margin: 0.1}
"""
ENVIRONMENT = """\
import gymnasium as gym
import numpy as np


class Short(gym.Env):
    observation_space = gym.spaces.Box(-1, 1, (2,), np.float32)
    action_space = gym.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.zeros(2, np.float32), {}

    def step(self, action):
        return np.zeros(2, np.float32), 1.0, True, False, {}


gym.register("Short-v0", Short)
"""


def judged(suite):
    return evaluate_suite(suite, named_runs(suite, ["random"]), trust=True)


def suite_of(env="CartPole-v1", success=28):
    return parse_suite(SUITE % (env, success), Path("pole.yaml"), "pole.yaml")


def against(suite, file):
    return {row.criterion: row for row in judged(with_release(suite, read_release(str(file), Path()))).criteria}


def test_another_success_return_is_named_by_both_commands(tmp_path):
    files = tmp_path / "before.json", tmp_path / "after.json"
    write_verdict_file(files[0], [judged(suite_of())])
    write_verdict_file(files[1], [judged(suite_of(success=10))])
    row = against(suite_of(success=10), files[0])["reliable_no_worse"]
    assert row.decision == "ERROR"
    assert "the release was judged with another env.success_return (28.0 and 10.0)" in row.detail
    with pytest.raises(InputError, match=r"with another env\.success_return \(28\.0 and 10\.0\)"):
        compare_verdict_files([str(file) for file in files], [])
    assert against(suite_of(), files[0])["reliable_no_worse"].estimate == 0


def test_the_code_of_an_environment_of_your_own_counts(tmp_path, monkeypatch):
    source, file = tmp_path / "short_episodes.py", tmp_path / "gate.json"
    source.write_text(ENVIRONMENT)
    monkeypatch.syspath_prepend(str(tmp_path))
    suite = suite_of("short_episodes:Short-v0", 1)
    write_verdict_file(file, [judged(suite)])
    assert against(suite, file)["reliable_no_worse"].estimate == 0
    source.write_text(ENVIRONMENT.replace("1.0", "2.0"))
    row = against(suite, file)["reliable_no_worse"]
    assert row.decision == "ERROR"
    assert "the code of short_episodes" in row.detail
    sys.modules.pop("short_episodes", None)


def test_a_release_that_was_an_error_was_not_judged(tmp_path):
    file = tmp_path / "gate.json"
    suite = suite_of()
    verdict = evaluate_suite(suite, named_runs(suite, ["constant:7"]))
    write_verdict_file(file, [verdict])
    detail = against(suite, file)["reliable_no_worse"].detail
    assert "was not judged on reliable, it was an ERROR" in detail
