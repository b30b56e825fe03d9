"""The command that judges a run names the suites of its environment."""

from __future__ import annotations

import pytest

from rl_eval.gates.judge_command import judge_command
from tests.gates.fake_runs import write_run

SUITE = "rl_eval: 1\nenv: {env}\ncriteria:\n  a: {{metric: mean_length, at_least: 1}}\n"


@pytest.mark.parametrize(
    ("environments", "expected"),
    [
        (["cartpole", "lunarlander", "cartpole"], "`pytest suites/0.yaml suites/2.yaml --rl-run run`"),
        (["lunarlander"], "`pytest suites/<file>.yaml --rl-run run`, once there is a suite for env cartpole"),
        (["cartpole\nunknown: 1"], "`pytest suites/<file>.yaml --rl-run run`"),
    ],
)
def test_the_suites_of_the_environment_are_named(tmp_path, monkeypatch, environments, expected):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "suites").mkdir()
    for number, env in enumerate(environments):
        (tmp_path / "suites" / f"{number}.yaml").write_text(SUITE.format(env=env))
    assert judge_command(write_run(tmp_path / "run").config, "run") == expected


def test_a_run_without_a_readable_config_gets_a_command_to_complete():
    assert judge_command({}, "onnx:a b.onnx") == "`pytest suites/<file>.yaml --rl-run 'onnx:a b.onnx'`"
