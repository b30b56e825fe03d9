"""A run directory for the tests of its files."""

import numpy as np
import pytest

from rl_eval import run


@pytest.fixture
def run_directory(tmp_path):
    """A run directory with two snapshots, of which `run.json` names the first."""
    path = tmp_path / "run"
    for step in (100, 20):
        run.write_checkpoint(path / "snapshots" / f"step_{step}", "policy", {"w": np.full(3, step)}, {"step": step})
    run.write_json(path / "run.json", {"status": "finished", "snapshot": "step_20", "started": "2026-01-02"})
    run.write_text(path / "config.yaml", "env: {name: cartpole}\n")
    return path
