"""Calls on Ray: what is wrong with a cluster is one sentence, and nothing is lost with it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rl_eval.run import step_directories
from tests.launchers.ray_cluster import ray_cluster

ROOT = Path(__file__).resolve().parents[2]
LONG = (
    "env=cartpole", "agent=ppo", "total_steps=4000000", "validation.every=4000000", "validation.episodes=2",
    "judge=off", "resume_every=4096", "hardware=ray",
)  # fmt: skip

pytestmark = pytest.mark.verify


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
    assert "asks for another token" in printed
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
