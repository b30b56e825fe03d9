"""`train.py` from end to end with W&B offline."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tracking.wandb_file import read_wandb_file

ROOT = Path(__file__).parents[2]
SWEEP = ["env=threat", "total_steps=8192", "tracker=wandb", "tracker.mode=offline", "-m", "seed=1,2"]


@pytest.mark.verify
def test_a_job_leaves_its_verdict_plots_and_artifacts(tmp_path):
    environ = {key: value for key, value in os.environ.items() if not key.startswith("WANDB_")}
    command = [sys.executable, str(ROOT / "train.py"), *SWEEP, "hydra.sweep.dir=sweep"]
    done = subprocess.run(command, cwd=tmp_path, env={**environ, "HOME": str(tmp_path)}, timeout=300, check=False)
    assert done.returncode == 0
    runs = sorted(path.parent for path in tmp_path.glob("sweep/*/run.json"))
    assert len(runs) == 2
    for run in runs:
        logged = read_wandb_file(run)
        assert logged.run.run_group == "sweep"
        kinds = {name.rpartition("-")[0]: kind for name, (kind, _) in logged.artifacts.items()}
        assert kinds["policy"] == "model"
        assert kinds["report"] == "report"
        policy = logged.artifacts[f"policy-{logged.run.run_id}"][1]
        assert {"policy.safetensors", "policy.json", "config.yaml"} <= policy.keys()
        assert all(Path(file).is_file() for file in policy.values())
        assert "report.html" in logged.artifacts[f"report-{logged.run.run_id}"][1]
        assert logged.panels["confusion/validation"] == "wandb/confusion_matrix/v1"
        assert any(name.startswith("evidence/") for name in logged.panels)
        assert any(name.startswith("validation_verdict/") and name.endswith("/low") for name in logged.summary)
