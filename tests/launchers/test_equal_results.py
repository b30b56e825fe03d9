"""The same config ends with the same policy wherever its jobs run; a job that is lost or fails says so."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from rl_eval.run import step_directories
from tests.launchers.slurm_cluster import slurm_cluster

ROOT = Path(__file__).resolve().parents[2]
SHORT = (
    "env=cartpole", "agent=ppo", "total_steps=4096", "validation.every=2048", "validation.episodes=2", "judge=off",
)  # fmt: skip
LONG = (*SHORT[:2], "total_steps=20480", "validation.every=10240", *SHORT[4:], "resume_every=4096")

pytestmark = pytest.mark.verify


def train(folder, *arguments, timeout=500):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(ROOT / "train.py"), *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=timeout)


def policy_hash(run):
    import hashlib

    return hashlib.sha256((step_directories(run / "snapshots")[-1] / "policy.safetensors").read_bytes()).hexdigest()


def info(run):
    return json.loads((run / "run.json").read_text())


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    with slurm_cluster(tmp_path_factory.mktemp("slurm")) as conf:
        yield conf


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    """The policies of two seeds, trained in one process."""
    folder = tmp_path_factory.mktemp("here")
    done = train(folder, *SHORT, "-m", "seed=1,2", "hydra.sweep.dir=sweep")
    assert done.returncode == 0, done.stderr
    return [policy_hash(folder / "sweep" / name) for name in ("0_seed=1", "1_seed=2")]


@pytest.mark.parametrize("hardware", ["parallel", "ray", "slurm"])
def test_every_launcher_ends_with_the_same_policies(tmp_path, here, hardware, request):
    if hardware == "ray" and importlib.util.find_spec("ray") is None:
        pytest.skip("Ray is not installed")
    if hardware == "slurm":
        request.getfixturevalue("slurm")
    more = [] if hardware == "slurm" else ["launcher.count=2"]
    done = train(tmp_path, *SHORT, "-m", "seed=1,2", f"hardware={hardware}", *more, "hydra.sweep.dir=sweep")
    assert done.returncode == 0, done.stdout + done.stderr
    runs = [tmp_path / "sweep" / name for name in ("0_seed=1", "1_seed=2")]
    assert [policy_hash(run) for run in runs] == here
    assert [info(run)["status"] for run in runs] == ["finished"] * 2


def test_a_job_whose_process_is_killed_goes_on_and_ends_with_the_same_policy(tmp_path):
    expected = train(tmp_path, *LONG, "hydra.run.dir=expected")
    assert expected.returncode == 0, expected.stderr
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    line = [sys.executable, str(ROOT / "train.py"), *LONG, "-m", "seed=42", "hardware=parallel", "launcher.count=1"]
    process = subprocess.Popen([*line, "hydra.sweep.dir=sweep"], cwd=tmp_path, env=environment, stdout=subprocess.PIPE)
    points = tmp_path / "sweep" / "0" / "resume"
    while not (points.is_dir() and step_directories(points)):
        assert process.poll() is None
        time.sleep(0.02)
    children = subprocess.run(["pgrep", "-P", str(process.pid), "-f", "spawn_main"], capture_output=True, text=True)
    os.kill(int(children.stdout.split()[-1]), signal.SIGKILL)
    process.communicate(timeout=500)
    assert process.returncode == 0
    assert policy_hash(tmp_path / "sweep" / "0") == policy_hash(tmp_path / "expected")


def test_one_run_under_slurm_that_is_killed_and_requeued_ends_with_the_same_policy(tmp_path, slurm):
    expected = train(tmp_path, *LONG, "hydra.run.dir=expected")
    assert expected.returncode == 0, expected.stderr
    results = []
    thread = threading.Thread(
        target=lambda: results.append(train(tmp_path, *LONG, "hardware=slurm", "hydra.run.dir=requeued"))
    )
    thread.start()
    points = tmp_path / "requeued" / "resume"
    while not (points.is_dir() and step_directories(points)):
        assert thread.is_alive(), results[0].stdout + results[0].stderr
        time.sleep(0.05)
    (job,) = subprocess.run(
        ["squeue", "--me", "--noheader", "--states=running", "--format=%i"], capture_output=True, text=True, check=True
    ).stdout.split()
    subprocess.run(["scontrol", "requeue", job], check=True, timeout=60)
    thread.join(500)
    assert results
    assert results[0].returncode == 0, results[0].stdout + results[0].stderr
    restarts = subprocess.run(["scontrol", "show", "job", job], capture_output=True, text=True, check=False).stdout
    assert "Restarts=0" not in restarts
    assert policy_hash(tmp_path / "requeued") == policy_hash(tmp_path / "expected")


def test_a_job_that_fails_under_slurm_is_reported_though_slurm_completed_it(tmp_path, slurm):
    done = train(
        tmp_path, *SHORT, "agent.lr=1e30", "hardware=slurm", "hydra.run.dir=failed", "agent.max_grad_norm=1e30"
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert info(tmp_path / "failed")["status"] == "failed"
    assert "training failed" in done.stderr


def test_a_stopped_sweep_of_processes_stops_its_jobs_and_resumes(tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    line = [sys.executable, str(ROOT / "train.py"), *LONG, "total_steps=4000000", "-m", "seed=1,2"]
    more = ["hardware=parallel", "launcher.count=2", "hydra.sweep.dir=sweep"]
    process = subprocess.Popen([*line, *more], cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True)
    runs = [tmp_path / "sweep" / name for name in ("0_seed=1", "1_seed=2")]
    while not all((run / "metrics.csv").exists() for run in runs):
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert [info(run)["status"] for run in runs] == ["interrupted"] * 2
