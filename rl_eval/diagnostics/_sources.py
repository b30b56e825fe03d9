"""Reading a run for diagnostics: a run directory, a log of Stable-Baselines3, or a CSV file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from rl_eval.diagnostics._diagnosed_run import DiagnosedRun, read_diagnosed_run
from rl_eval.diagnostics._foreign_logs import is_stable_baselines3, read_columns, read_stable_baselines3


def read(path: Path | str, *, trust: bool = False, columns: Mapping[str, str] | None = None) -> DiagnosedRun:
    """A run directory, a log of Stable-Baselines3 (`progress.csv`, `monitor.csv`, or their folder), or a CSV file.

    Args:
        trust: whether an environment that the run names may import a module.
        columns: of a CSV file, our name -> the name in the file.

    Raises:
        InputError: the path does not exist, or has none of these formats.
    """
    path = Path(path)
    if columns is not None:
        return read_columns(path, columns)
    if (path / "run.json").exists():
        return read_diagnosed_run(path, trust=trust)
    if is_stable_baselines3(path):
        return read_stable_baselines3(path)
    return read_columns(path, {}) if path.is_file() else read_diagnosed_run(path, trust=trust)
