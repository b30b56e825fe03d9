"""What cannot be judged is an error of its criteria: files, data, policies, environments and metrics."""

from __future__ import annotations

import os
import sys

import gymnasium as gym
import numpy as np
import pytest

from rl_eval import metrics
from rl_eval.gates import evaluate_suite, named_runs
from tests.gates.estimate_suites import suite, verdicts
from tests.gates.fake_runs import write_run


def test_a_damaged_policy_is_an_error_that_names_the_file(tmp_path):
    checked = suite(
        tmp_path, "metric: mean_return, at_least: 1, by: estimate", "metric: artefacts_complete, at_least: 1"
    )
    run = write_run(tmp_path / "run")
    file = run.path / "snapshots" / "step_100" / "policy.safetensors"
    file.write_bytes(file.read_bytes()[:-4])
    reward, complete = verdicts(checked, run)
    assert reward.decision == "ERROR"
    assert "policy.safetensors is truncated or altered" in reward.detail
    assert complete.decision == "FAIL"
    assert complete.detail.startswith("artefacts_complete 0 misses at_least 1 by 1: ")


def test_missing_data_is_an_error_that_names_the_key(tmp_path):
    data = tmp_path / "flows.csv"
    data.write_text("x,label\n" + "".join(f"{x},{x % 2}\n" for x in range(200)))
    env = "{name: threat, data: csv, label: label}"
    checked = suite(tmp_path, "metric: f1, at_least: 0, by: estimate", env=env)
    values = {"name": "threat", "data": "csv", "label": "label", "path": str(data)}
    run = write_run(tmp_path / "run", values, rule=np.ones(1), bias=(1.0, 0, 0, 0))
    data.unlink()
    (verdict,) = verdicts(checked, run)
    assert verdict.decision == "ERROR"
    assert "env.path=" in verdict.detail
    assert "does not exist here" in verdict.detail


def test_foreign_code_needs_trust(tmp_path):
    checked = suite(
        tmp_path,
        "metric: mean_return, at_least: 1, by: estimate",
        env="{id: 'gymnasium.envs.classic_control:CartPole-v1'}",
        head="episodes: {fixed: 2}",
    )
    run = write_run(tmp_path / "run", {"id": "gymnasium.envs.classic_control:CartPole-v1"})
    (verdict,) = verdicts(checked, run)
    assert (verdict.decision, "--trust" in verdict.detail) == ("ERROR", True)
    (verdict,) = verdicts(checked, run, trust=True)
    assert verdict.decision == "PASS"


@pytest.mark.parametrize("by", ["estimate", "evidence"])
def test_a_reference_that_raises_is_played_once(tmp_path, monkeypatch, by):
    (tmp_path / "their_reference.py").write_text(
        "calls = []\ndef act(obs):\n    calls.append(1)\n    raise RuntimeError('no reference')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "their_reference", raising=False)
    criterion = f"metric: mean_return, better_than: 'python:their_reference:act', by: {by}"
    head = "episodes: {max: 20, fixed: 10, return_bounds: [0, 500]}"
    checked = suite(tmp_path, criterion, f"{criterion}, margin: 2", head=head)
    judged = verdicts(checked, write_run(tmp_path / "run"), trust=True)
    assert [one.decision for one in judged] == ["ERROR", "ERROR"]
    (sentence,) = {one.detail for one in judged}
    assert "RuntimeError: no reference" in sentence
    assert sys.modules["their_reference"].calls == [1]


class Raises(gym.Env):
    """An environment that raises in the third step of an episode."""

    observation_space = gym.spaces.Box(-1, 1, (2,), np.float32)
    action_space = gym.spaces.Discrete(2)
    raised = 0

    def reset(self, *, seed=None, options=None):
        self.steps = 0
        return np.zeros(2, np.float32), {}

    def step(self, action):
        self.steps += 1
        if self.steps == 3:
            Raises.raised += 1
            raise OverflowError("the third step")
        return np.zeros(2, np.float32), 0.0, False, False, {}


def test_an_environment_that_raises_is_played_once(tmp_path, monkeypatch):
    gym.register("Raises-v0", entry_point=Raises, max_episode_steps=10)
    monkeypatch.setattr(Raises, "raised", 0)
    criteria = ["metric: mean_return, at_least: 0, by: estimate", "metric: mean_length, at_least: 5, by: estimate"]
    head = "controls: [random, 'constant:0']\nepisodes: {fixed: 10}"
    checked = suite(tmp_path, *criteria, env="{id: Raises-v0}", head=head)
    verdict = evaluate_suite(checked, named_runs(checked, ["random"]))
    assert Raises.raised == 1
    of = {one.criterion: one for one in verdict.criteria}
    assert [of[name].decision for name in ("c0", "c1", "controls")] == ["ERROR"] * 3
    (sentence,) = {of[name].detail for name in ("c0", "c1", "controls")}
    assert "OverflowError: the third step" in sentence
    assert f"({__file__}:" in sentence
    del gym.registry["Raises-v0"]


def test_a_metric_that_raises_is_an_error_of_its_criterion(tmp_path, monkeypatch):
    @metrics.metric("task")
    def their_metric(episodes, config):
        """Divide by nothing."""
        return 1 / 0

    monkeypatch.setitem(metrics._registry.METRICS._registered, "their_metric", their_metric)
    criteria = ["metric: their_metric, at_least: 0, by: estimate", "metric: mean_length, at_least: 5, by: estimate"]
    checked = suite(tmp_path, *criteria)
    first, second = verdicts(checked, write_run(tmp_path / "run"))
    assert (first.decision, second.decision) == ("ERROR", "PASS")
    assert "ZeroDivisionError" in first.detail
    assert f"({__file__}:" in first.detail


FILES = [
    "metrics.csv",
    "seen.npz",
    "preprocessing.json",
    "verdict.json",
    *(f"snapshots/step_100/policy.{x}" for x in ("json", "safetensors", "sha256")),
]


@pytest.mark.parametrize("name", FILES)
def test_a_file_of_a_run_that_is_no_regular_file_is_an_error_and_not_waited_for(tmp_path, name):
    criteria = ["metric: mean_length, at_least: 1, by: estimate", "metric: artefacts_complete, at_least: 1"]
    criteria += ["metric: numbers_agree, at_least: 1", "metric: learning_trend, at_least: 0"]
    checked = suite(tmp_path, *criteria, head="episodes: {fixed: 1}")
    run = write_run(tmp_path / "run")
    (run.path / name).unlink(missing_ok=True)
    os.mkfifo(run.path / name)
    first, complete, *_ = verdicts(checked, run)
    assert first.decision == ("ERROR" if name.startswith("snapshots") else "PASS")
    assert complete.decision == ("FAIL" if name.startswith(("snapshots", "metrics")) else "PASS")
