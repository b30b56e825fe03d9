"""The tracker of docs/extending-training.md: a package of its own, logged by its entry point and named in a config."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "extending-training.md").read_text()
(MODULE,) = re.findall(r"```python\n# corridor/tracker.py\n(.*?)```", PAGE, re.DOTALL)
ENTRY_POINTS = """
[rl_eval.trackers]
journal = journal_tracker:PLUGIN
wrong = journal_tracker:Journal
missing = journal_tracker:NOWHERE
"""
OVERRIDES = (
    "env=cartpole",
    "total_steps=2048",
    "validation.every=2048",
    "validation.episodes=2",
    "validation.stop_at=null",
)


@pytest.fixture
def run_train(tmp_path):
    """Run train.py with the package installed in a temporary folder."""
    metadata = tmp_path / "site" / "journal_tracker-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: journal-tracker\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(ENTRY_POINTS)
    (tmp_path / "site" / "journal_tracker.py").write_text(MODULE)
    path = os.pathsep.join([str(tmp_path / "site"), str(ROOT)])

    def run(*overrides):
        command = [sys.executable, str(ROOT / "train.py"), *OVERRIDES, *overrides, "hydra.run.dir=run"]
        environ = {**os.environ, "PYTHONPATH": path}
        return subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=120)

    return run


def test_it_tracks_a_run(run_train, tmp_path):
    done = run_train("tracker.name=journal", "+tracker.file=journal.json", "seed=7")
    assert done.returncode == 0, done.stderr
    calls = json.loads((tmp_path / "run" / "journal.json").read_text())
    assert calls[0] == ["start", 7]
    assert calls[-1] == ["close", "finished"]
    assert ["log", 2048] in calls
    assert ["log_files", "policy"] in calls
    assert any(name == "summary" and "results/mean" in values for name, values in calls[1:-1])
    assert not any(name == "log_plots" for name, _ in calls)  # it does not draw


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["tracker.name=journal"], "tracker.file: field required"),
        (["tracker.name=journal", "+tracker.file=/etc/x"], "tracker.file must be relative"),
        (["tracker.name=jurnal"], "did you mean 'journal'"),
        (["tracker.name=wrong"], "must name a TrackerPlugin"),
        (["tracker.name=missing"], "cannot be loaded"),
    ],
)
def test_mistakes_are_one_sentence_before_anything_runs(run_train, tmp_path, overrides, message):
    done = run_train(*overrides)
    assert done.returncode == 2
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert message in line
    assert not (tmp_path / "run" / "run.json").exists()
