"""Stopping and resuming: interrupts, resume points, snapshots, failures."""

import hashlib
import json
import subprocess
import sys

import numpy as np
import pytest
import yaml

from rl_eval import run as runs
from tests.training.learn import ROOT, learn

THREAT = [
    "env=threat",
    "env.train_flows=3000",
    "env.validation_flows=1000",
    "env.test_flows=1000",
    "total_steps=8192",
    "agent.n_envs=16",
    "agent.batch_size=128",
    "checkpoint_every=1024",
    "log_every=512",
    "validation.every=2048",
    "validation.episodes=2",
    "keep_snapshots=3",
]
THREAT_A2C = ["agent=a2c", *(o for o in THREAT if not o.startswith("agent.batch_size"))]
CARTPOLE = [
    "env=cartpole",
    "total_steps=8192",
    "agent.n_envs=4",
    "agent.n_steps=64",
    "agent.n_epochs=1",
    "resume_every=2048",
    "validation.every=2048",
    "validation.episodes=2",
]

DQN_THREAT = ["agent=dqn", *(o for o in THREAT if not o.startswith("agent.batch_size")), "agent.updates_per_step=0.05"]
DQN_CARTPOLE = [
    "agent=dqn",
    *(o for o in CARTPOLE if not o.startswith(("agent.n_steps", "agent.n_epochs"))),
    "agent.prioritized=true",
    "agent.buffer_size=3000",
]


def table(run):
    lines = (run.path / "metrics.csv").read_text().splitlines()
    wall = lines[0].split(",").index("wall_s")
    return [[cell for i, cell in enumerate(line.split(",")) if i != wall] for line in lines]


def final_policy(run):
    return hashlib.sha256((run.judged_snapshot() / "policy.safetensors").read_bytes()).hexdigest()


@pytest.mark.parametrize(
    "overrides",
    [THREAT, CARTPOLE, THREAT_A2C, [*CARTPOLE, "agent.normalize_obs=true"], DQN_THREAT, DQN_CARTPOLE],
    ids=["threat", "cartpole", "threat-a2c", "cartpole-normalised", "threat-dqn", "cartpole-dqn"],
)
def test_an_interrupted_run_goes_on_to_the_same_end(overrides, tmp_path):
    uninterrupted = learn(overrides, tmp_path / "whole")
    assert uninterrupted.info["status"] == "finished"
    broken = learn(overrides, tmp_path / "broken", stop_at=5000)
    assert broken.info["status"] == "interrupted"
    assert 5000 <= broken.info["env_steps"] < 8192
    assert broken.snapshots()[-1].name == f"step_{broken.info['env_steps']}"  # Ctrl-C saves what there is
    again = learn(overrides, tmp_path / "broken", resume=True)
    assert again.info["status"] == "finished"
    assert table(again) == table(uninterrupted)
    assert final_policy(again) == final_policy(uninterrupted)
    for key in ("env_steps", "episodes", "gradient_steps", "steps_finished", "steps_in_flight", "steps_cut"):
        assert again.info[key] == uninterrupted.info[key]
    assert (
        uninterrupted.info["steps_finished"] + uninterrupted.info["steps_in_flight"] + uninterrupted.info["steps_cut"]
        == 8192
    )


def test_a_run_without_a_resume_point_starts_again(tmp_path):
    uninterrupted = learn(CARTPOLE, tmp_path / "whole")
    learn(CARTPOLE, tmp_path / "broken", stop_at=1000)
    assert not runs.step_directories(tmp_path / "broken" / "resume")
    assert table(learn(CARTPOLE, tmp_path / "broken", resume=True)) == table(uninterrupted)


def test_snapshots_do_not_touch_training(tmp_path):
    often = learn([*CARTPOLE, "checkpoint_every=256"], tmp_path / "often")
    seldom = learn([*CARTPOLE, "checkpoint_every=8192"], tmp_path / "seldom")
    assert table(often) == table(seldom)
    assert final_policy(often) == final_policy(seldom)


def test_the_last_snapshots_and_the_best_are_kept(tmp_path):
    run = learn(THREAT, tmp_path / "run")
    names = {p.name for p in run.snapshots()}
    assert run.info["snapshot"] in names
    assert {"step_8192", "step_7168", "step_6144"} <= names
    assert len(names) <= 4


def test_the_target_on_select_ends_training(tmp_path):
    run = learn([*CARTPOLE, "validation.stop_at=1"], tmp_path / "run")
    assert run.info["env_steps"] == 2048
    assert run.info["snapshot"] == "step_2048"
    assert run.info["validation_score"] == run.info["results"]["mean_return"]


WITHOUT_DEFECTS = [
    "env=webtest",
    "agent=dqn",
    "env.applications=2",
    "env.max_actions=10",
    "env.defect_share=1.0e-9",
    "agent.n_envs=4",
    "agent.learning_starts=20",
    "agent.buffer_size=400",
    "total_steps=120",
    "validation.every=40",
    "validation.episodes=2",
]


def test_a_metric_without_a_value_ends_no_training(tmp_path):
    """The share of defects found, where no build that validation plays has one: the last snapshot is judged."""
    sentences = []
    run = learn(WITHOUT_DEFECTS, tmp_path / "run", notice=sentences.append)
    assert run.info["status"] == "finished"
    assert run.info["results"]["defects_found"] is None
    assert run.info["results"]["mean"] is not None
    assert run.info["validation_score"] is None
    assert run.judged_snapshot() == run.path / "snapshots" / runs.step_name(run.info["env_steps"])
    (sentence,) = sentences
    assert "no episode that was played has a seeded defect" in sentence


def test_the_preprocessing_is_saved_with_the_run(tmp_path):
    run = learn(THREAT, tmp_path / "run")
    assert runs.read_json(run.path / "preprocessing.json")


# train.py, which gets Ctrl-C once it has trained for a while, however fast the machine is.
INTERRUPTED = """
import os, runpy, signal, sys
from rl_eval.terminal import ProgressLine
update = ProgressLine.update
def interrupted_update(line, env_steps, *arguments, **named):
    if env_steps >= 20_000:
        os.kill(os.getpid(), signal.SIGINT)
    update(line, env_steps, *arguments, **named)
ProgressLine.update = interrupted_update
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.mark.verify
def test_ctrl_c_at_the_command_line_and_resume(tmp_path):
    """The whole way: SIGINT to the process, status 130, the hint, and `resume=`."""
    command = [sys.executable, str(ROOT / "train.py")]
    arguments = [command[1], "env=cartpole", "total_steps=60000", "validation.stop_at=null"]
    script = f"import sys; sys.argv = {arguments!r}\n{INTERRUPTED}"
    started = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, stderr=subprocess.PIPE, text=True, timeout=300, check=False
    )
    errors = started.stderr
    assert started.returncode == 130, errors
    (file,) = tmp_path.glob("outputs/*/*/run.json")
    assert json.loads(file.read_text())["status"] == "interrupted"
    hint = file.parent.relative_to(tmp_path)
    assert f"train.py resume={hint}`" in errors
    done = subprocess.run([*command, f"resume={hint}"], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    facts = json.loads(file.read_text())
    assert facts["status"] == "finished"
    assert facts["env_steps"] >= 60000
    assert yaml.safe_load((file.parent / "config.yaml").read_text())["env"]["name"] == "cartpole"
    steps = runs.read_metrics(file.parent / "metrics.csv")["env_steps"]
    assert (np.diff(steps) > 0).all()
