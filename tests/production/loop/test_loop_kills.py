"""The control loop as processes that are killed: each training counts once, whoever ends where."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import select

from rl_eval.production.audit import verify
from rl_eval.production.config import load_config
from rl_eval.production.loop.versions import register_run
from rl_eval.production.parts import open_parts
from rl_eval.production.store.tables import experience
from tests.production.loop.traffic import SECTIONS, collect
from tests.production.served import write_config

ROOT = Path(__file__).resolve().parents[3]
KILLS = 12
LEASE_S = 2.0


def start(config):
    command = [sys.executable, "-m", "rl_eval.cli", "production", "run", str(config), "--learn-only"]
    return subprocess.Popen(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.DEVNULL)


def ended(parts, deadline):
    """Wait until no training runs and none is due."""
    while time.monotonic() < deadline:
        states = [training.state for training in parts.store.trainings(100)]
        if "running" not in states and parts.store.waiting() < 200:
            return True
        time.sleep(0.2)
    return False


@pytest.mark.verify
def test_two_loops_that_are_killed_train_everything_once(runs, tmp_path):
    sections = {**SECTIONS, "training": {"rounds": 1, "fisher_rows": 16, "lease": LEASE_S}}
    sections["loop"] = {"reference_episodes": 0, "turn": 0.1}
    # A candidate that is proved would begin a roll-out of days, during which nothing is trained.
    sections["proof"] = {**SECTIONS["proof"], "least_effective": 1e9}
    file = write_config(tmp_path, **sections)
    rng = np.random.default_rng(5)
    with open_parts(load_config(file)) as parts:
        register_run(parts, runs / "one", "ada")
        processes = [start(file), start(file)]
        try:
            for kill in range(KILLS):
                collect(parts, 250, first=1000 * kill)
                time.sleep(float(rng.uniform(0.5, 4.0)))
                assert parts.registry.aliases()["champion"] >= 1
                which = int(rng.integers(2))
                processes[which].send_signal(signal.SIGKILL)
                processes[which].wait(10)
                processes[which] = start(file)
            assert ended(parts, time.monotonic() + 120)
        finally:
            for process in processes:
                process.kill()
                process.wait(10)
        trainings = parts.store.trainings(100)
        assert {training.state for training in trainings} == {"done"}
        numbers = [parts.registry.version(n).lineage.verdict.get("training") for n in parts.registry.versions()]
        assert sorted(numbers[1:]) == sorted(training.name for training in trainings)  # one version each
        with parts.store.database.reading() as connection:
            rows = connection.execute(select(experience.c.decision_id, experience.c.training)).all()
        assert len(rows) == 250 * KILLS
        trained = [row for row in rows if row[1] is not None]
        assert len(trained) == sum(training.experiences for training in trainings)
        assert not verify(parts.audit.path).faults
        assert parts.registry.version(parts.registry.aliases()["champion"]).number >= 1
