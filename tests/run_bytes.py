"""Everything in a run directory that must be the same when the same run is made twice."""

import json
from pathlib import Path

TIMES = {"wall_s", "validation_s", "steps_per_s", "started", "ended", "name", "command"}

# What comes after training; and the hashes of a resume point, which cover its JSON, and that has times in it.
LEFT_OUT = {"run.lock", "verdict.json", "report.html", "state.sha256"}


def content(run):
    """File -> what it holds, but for times of day, durations, and the name that a directory gives a run."""
    return {str(path.relative_to(run)): _content(path) for path in sorted(Path(run).rglob("*")) if _counts(path)}


def _counts(path):
    return path.is_file() and path.name not in LEFT_OUT and ".hydra" not in path.parts


def _content(path):
    if path.name == "metrics.csv":
        rows = [line.split(",") for line in path.read_text().splitlines()]
        times = {i for i, name in enumerate(rows[0]) if name in TIMES}
        return [[cell for i, cell in enumerate(row) if i not in times] for row in rows]
    if path.name in ("run.json", "state.json"):
        return _without_times(json.loads(path.read_text()))
    return path.read_bytes()


def _without_times(value):
    if isinstance(value, dict):
        return {key: _without_times(inner) for key, inner in value.items() if key not in TIMES}
    return [_without_times(inner) for inner in value] if isinstance(value, list) else value
