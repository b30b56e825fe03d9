"""Jobs of a sweep over seeds, trained in step, against single runs."""

import json
import sys
from pathlib import Path

import pytest

from rl_eval import run
from rl_eval.launch import launch
from tests.training.learn import ROOT, learn

SHORT = [
    "env=cartpole", "judge=off", "total_steps=1024", "validation.every=512", "validation.episodes=2",
    "checkpoint_every=512", "log_every=512", "agent.n_envs=4", "agent.n_steps=32", "agent.network.widths=[8]",
    "tuned=none",
]  # fmt: skip


def start(*overrides):
    return launch(ROOT, [*SHORT, *overrides], job=lambda: None)


def bytes_of(folder):
    files = {path.relative_to(folder): path.read_bytes() for path in sorted(folder.rglob("*.safetensors"))}
    rows = (folder / "metrics.csv").read_text().splitlines()
    return files, [[cell for index, cell in enumerate(row.split(",")) if index != 1] for row in rows]  # not wall_s


@pytest.mark.verify
@pytest.mark.parametrize(
    "own", [["agent=ppo", "agent.batch_size=64", "validation.stop_at=40"], ["agent=a2c", "validation.stop_at=null"]]
)
def test_each_seed_is_the_run_that_it_is_alone(own, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["train.py"])
    assert start("-m", "seed=1,2,3", "hardware=seeds", *own, "hydra.sweep.dir=sweep") == 0
    folders = [Path("sweep") / row["directory"] for row in json.loads(Path("sweep/sweep.json").read_text())["jobs"]]
    ended = set()
    for seed, folder in zip((1, 2, 3), folders, strict=True):
        job = run.read_run(folder)
        single = learn([*SHORT, *own, f"seed={seed}"], tmp_path / f"alone_{seed}")
        assert bytes_of(folder) == bytes_of(single.path)
        for key in ("status", "env_steps", "gradient_steps", "episodes", "snapshot", "validation_score", "results"):
            assert job.info[key] == single.info[key], key
        ended.add(job.info["env_steps"])
    assert len(ended) == 1 + ("agent=ppo" in own)  # with a target, at different times


def test_a_budget_is_that_of_all_seeds_and_each_goes_on_with_a_larger_one(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["train.py"])
    budget = "hardware.budget=0.000001 s"
    assert start("-m", "seed=1,2", "hardware=seeds", "agent=a2c", budget, "hydra.sweep.dir=sweep") == 1
    values = json.loads(Path("sweep/sweep.json").read_text())
    jobs = [run.read_run(Path("sweep") / row["directory"]) for row in values["jobs"]]
    assert [job.info["status"] for job in jobs] == ["over_budget"] * 2
    assert [job.info["env_steps"] for job in jobs] == [4 * job.config["agent"]["n_steps"] for job in jobs]
    assert "train.py 'resume=\"sweep/0_seed=1\"' 'hardware.budget=" in " ".join(capsys.readouterr().err.split())
    seconds = [job.info["cost"]["total"]["machine_s"] for job in jobs]
    assert min(seconds) > 0
    assert values["cost"]["machine_s"] == pytest.approx(sum(seconds))


@pytest.mark.parametrize(
    ("overrides", "named"),
    [
        (["lr=1e-3,2e-3"], "also differ in"),
        (["seed=1,2", "agent=dqn"], "agent=dqn"),
        (["seed=1,2", "tracker=tensorboard"], "tracker"),
    ],
)
def test_what_cannot_be_trained_in_step_is_refused(overrides, named, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert launch(ROOT, ["-m", "env=cartpole", "hardware=seeds", *overrides], job=lambda: None) == 2
    assert named in capsys.readouterr().err.replace("\n", " ")
    assert not list(tmp_path.iterdir())
