"""The content of a run directory that must be equal for two runs with the same config."""

import json
from pathlib import Path

# `metrics_sha256` is of rows that hold times.
TIME_FIELDS = {"wall_s", "validation_s", "steps_per_s", "started", "ended", "name", "command", "metrics_sha256", "cost"}

# Files written after training, and the hashes of resume points, whose JSON holds times.
IGNORED_FILES = {"run.lock", "verdict.json", "report.html", "state.sha256"}


def content(run):
    """File -> content, without times, durations, and the name that a run has from its directory."""
    return {str(path.relative_to(run)): _content(path) for path in sorted(Path(run).rglob("*")) if _is_compared(path)}


def _is_compared(path):
    return path.is_file() and path.name not in IGNORED_FILES


def _content(path):
    if path.name == "metrics.csv":
        rows = [line.split(",") for line in path.read_text().splitlines()]
        times = {i for i, name in enumerate(rows[0]) if name in TIME_FIELDS}
        return [[cell for i, cell in enumerate(row) if i not in times] for row in rows]
    if path.name in ("run.json", "state.json"):
        return _without_times(json.loads(path.read_text()))
    return path.read_bytes()


def _without_times(value):
    if isinstance(value, dict):
        return {key: _without_times(inner) for key, inner in value.items() if key not in TIME_FIELDS}
    return [_without_times(inner) for inner in value] if isinstance(value, list) else value
