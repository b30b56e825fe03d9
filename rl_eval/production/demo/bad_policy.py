"""`worst_of`: a policy that prefers what another one avoids."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from rl_eval import run as runs


def worst_of(run: runs.Run, directory: Path) -> Path:
    """A copy of a run whose policy prefers what the original avoids: its outputs negated.

    Raises:
        InputError: the run is damaged.
    """
    arrays, meta = runs.read_checkpoint(run.judged_snapshot(), "policy")
    outputs = (int(meta["action_space"].get("n", 0)),)
    changed = {name: -np.array(value) if value.shape[:1] == outputs else value for name, value in arrays.items()}
    snapshot = run.judged_snapshot().relative_to(run.path)
    runs.write_checkpoint(directory / snapshot, "policy", changed, {k: v for k, v in meta.items() if k != "sha256"})
    for name in ("config.yaml", "preprocessing.json"):
        if (run.path / name).is_file():
            (directory / name).write_bytes((run.path / name).read_bytes())
    runs.write_json(directory / "run.json", {**run.info, "name": "bad"})
    return directory
