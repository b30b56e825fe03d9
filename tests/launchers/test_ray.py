"""Calls on Ray: what is wrong with a cluster is one sentence, and nothing is lost with it."""

from __future__ import annotations

import json
import os
import random
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rl_eval.run import step_directories
from tests.launchers.ray_cluster import ray_cluster, skip_without_mounts

ROOT = Path(__file__).resolve().parents[2]
LONG = (
    "env=cartpole", "agent=ppo", "total_steps=4000000", "validation.every=4000000", "validation.episodes=2",
    "judge=off", "resume_every=4096", "hardware=ray",
)  # fmt: skip
SHORT = (
    "env=cartpole", "agent=ppo", "total_steps=2048", "validation.every=1024", "validation.episodes=2", "judge=off",
    "hardware=ray",
)  # fmt: skip
THREAT = (
    "env=threat", "env.data=csv", "env.label=label", "agent=ppo", "total_steps=2048", "validation.every=2048",
    "agent.n_envs=4", "agent.n_steps=128", "judge=off", "hardware=ray",
)  # fmt: skip

pytestmark = pytest.mark.verify


def flows(rows=600):
    """A CSV file of labelled flows, one in eight a threat."""
    rng = random.Random(1)
    lines = [f"{rng.random():.4f},{rng.random():.4f},{int(index % 8 == 0)}" for index in range(rows)]
    return "\n".join(["bytes,packets,label", *lines]) + "\n"


@pytest.fixture
def cluster(tmp_path):
    folder = tmp_path / "ray"
    folder.mkdir()
    with ray_cluster(folder) as started:
        yield started


def command(*arguments):
    return [sys.executable, str(ROOT / "train.py"), *arguments]


def environment(cluster, **more):
    return {**cluster.environment, "PYTHONPATH": str(ROOT), **more}


def test_a_wrong_token_is_a_sentence_and_leaves_nothing_behind(tmp_path, cluster):
    wrong = tmp_path / "wrong"
    wrong.write_text("0" * 64)
    line = command(*LONG, f"launcher.address={cluster.address}", "hydra.run.dir=run")
    done = subprocess.run(
        line, cwd=tmp_path, env=environment(cluster, RAY_AUTH_TOKEN_PATH=str(wrong)), capture_output=True, text=True,
        timeout=300,
    )  # fmt: skip
    assert done.returncode == 2, done.stdout + done.stderr
    printed = " ".join(done.stderr.split())
    assert f"error: Ray at {cluster.address} cannot be used" in printed
    assert "needs another token" in printed
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "run").exists()


def test_a_lost_head_node_is_a_sentence_and_the_run_can_be_resumed(tmp_path, cluster):
    line = command(*LONG, f"launcher.address={cluster.address}", "hydra.run.dir=run")
    process = subprocess.Popen(
        line, cwd=tmp_path, env=environment(cluster), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    points = tmp_path / "run" / "resume"
    while not (points.is_dir() and step_directories(points)):
        assert process.poll() is None, process.communicate()
        time.sleep(0.1)
    cluster.lose_head()
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 1, errors
    assert "Traceback" not in errors
    assert "train.py resume=run`" in " ".join(errors.split())
    assert step_directories(points)
    assert json.loads((tmp_path / "run" / "run.json").read_text())["status"] in ("running", "interrupted")


def test_an_address_where_no_ray_is_is_a_sentence(tmp_path):
    pytest.importorskip("ray")
    line = command(*LONG, "launcher.address=127.0.0.1:1", "hydra.run.dir=run")
    done = subprocess.run(
        line, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 2, done.stdout + done.stderr
    assert "error: Ray at 127.0.0.1:1 cannot be used" in " ".join(done.stderr.split())
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("hidden", "named"),
    [
        ("home", "has no folder {folder}/home/project"),
        ("home/project", "does not see {folder}/home/project/run"),
        ("data", "{folder}/data/flows.csv"),
    ],
)
def test_a_node_without_the_folder_or_the_data_is_a_sentence_with_its_name(tmp_path, hidden, named):
    skip_without_mounts()
    for name in ("ray", "home/project", "data"):
        (tmp_path / name).mkdir(parents=True)
    file = tmp_path / "data" / "flows.csv"
    file.write_text(flows())
    with ray_cluster(tmp_path / "ray", hidden=tmp_path / hidden) as cluster:
        line = command(*THREAT, f"env.path={file}", f"launcher.address={cluster.address}", "hydra.run.dir=run")
        done = subprocess.run(
            line, cwd=tmp_path / "home/project", env=environment(cluster), capture_output=True, text=True, timeout=300
        )
    printed = " ".join(done.stderr.split())
    assert done.returncode in (1, 2)
    assert named.format(folder=tmp_path) in printed
    assert f"the machine {socket.gethostname()}" in printed
    assert "Traceback" not in done.stderr


def test_two_sweeps_at_once_on_one_cluster_end_as_each_does_alone(tmp_path, cluster):
    folders = [tmp_path / name for name in ("alone", "one", "other")]
    for folder in folders:
        folder.mkdir()
    line = command(*SHORT, "-m", "seed=1,2", "hydra.sweep.dir=sweep")
    alone = subprocess.run(
        [*line, "hardware=cpu"], cwd=folders[0], env=environment(cluster), capture_output=True, text=True, timeout=300
    )
    assert alone.returncode == 0, alone.stderr
    sweeps = [
        subprocess.Popen(
            [*line, f"launcher.address={cluster.address}"], cwd=folder, env=environment(cluster),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for folder in folders[1:]
    ]  # fmt: skip
    errors = [sweep.communicate(timeout=400)[1] for sweep in sweeps]
    assert [sweep.returncode for sweep in sweeps] == [0, 0], errors
    policies = [[file.read_bytes() for file in sorted(folder.rglob("policy.safetensors"))] for folder in folders]
    assert policies[0]
    assert policies[1] == policies[2] == policies[0]
