"""`rl-eval tune` with real training: small, and killed."""

import os
import signal
import subprocess
import sys
import time

import pytest
import yaml

from rl_eval.cli import main
from rl_eval.run import read_run
from tests.training.learn import ROOT

pytest.importorskip("optuna")
TINY = ["env=cartpole", "agent=a2c", "total_steps=1280", "validation.every=320", "validation.episodes=2",
        "agent.n_envs=4", "resume_every=640", "lr=tag(log,interval(1e-4,1e-2))", "agent.n_steps=8,16"]  # fmt: skip


def arguments(folder, *more):
    return ["tune", *TINY, "--folder", str(folder), "--out", str(folder.with_suffix(".yaml")), *more]


def table(folder):
    """What was tried, and the bytes that came of it."""
    import optuna

    trials = optuna.load_study(study_name="search", storage=f"sqlite:///{folder}/study.sqlite").get_trials()
    policies = [
        (run.judged_snapshot() / "policy.safetensors").read_bytes()
        for trial in trials
        for run in [read_run(path) for path in trial.user_attrs.get("runs", [])]
    ]
    return [(trial.number, trial.state, trial.params, trial.value) for trial in trials], policies


def test_a_search_ends_with_a_preset_and_judges_nothing(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(arguments(tmp_path / "search", "--trials", "2")) == 0
    preset = yaml.safe_load((tmp_path / "search.yaml").read_text())
    assert preset["total_steps"] == 1280
    assert {"lr", "n_envs"} <= set(preset["agent"])
    assert list(tmp_path.rglob("verdict.json")) == []
    assert not (tmp_path / "outputs").exists()
    assert "2 trials" in capsys.readouterr().out
    assert main(arguments(tmp_path / "search", "--trials", "2", "--seed", "7")) == 2  # another search in its folder


@pytest.mark.verify
def test_a_budget_ends_it_and_a_larger_one_goes_on(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(arguments(tmp_path / "search", "--trials", "1", "--budget", "1e-3 s")) == 1  # nothing ended
    assert "budget" in capsys.readouterr().err
    assert main(arguments(tmp_path / "search", "--trials", "1", "--budget", "10 h")) == 0


@pytest.mark.verify
def test_a_killed_search_goes_on_to_the_same_trials(tmp_path):
    def start(folder):
        command = [sys.executable, "-m", "rl_eval.cli", *arguments(folder, "--trials", "4")]
        return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    assert start(tmp_path / "whole").wait(600) == 0
    killed = 0
    for number in range(1, 4):
        process, mark = start(tmp_path / "killed"), tmp_path / "killed" / "trials" / str(number)
        while process.poll() is None and not list(mark.glob("seed_*/metrics.csv")):
            time.sleep(0.005)
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
            killed += 1
        process.wait(600)
    assert killed == 3
    assert start(tmp_path / "killed").wait(600) == 0
    assert table(tmp_path / "killed") == table(tmp_path / "whole")


@pytest.mark.verify
def test_processes_make_the_trials_of_a_search(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    more = ["hardware=parallel", "launcher.count=2", "--trials", "3"]
    assert main(arguments(tmp_path / "search", *more)) == 0
    rows, policies = table(tmp_path / "search")
    assert len(rows) == len(policies) == 3
