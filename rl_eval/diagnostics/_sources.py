"""From a path to a reading."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from rl_eval.diagnostics._foreign import is_stable_baselines3, read_columns, read_stable_baselines3
from rl_eval.diagnostics._reading import Reading, read_run_directory
from rl_eval.errors import InputError
from rl_eval.run import is_sweep, sweep_jobs


def read(path: Path | str, *, trust: bool = False, columns: Mapping[str, str] | None = None) -> Reading:
    """A run directory, a log of Stable-Baselines3 (`progress.csv`, `monitor.csv`, or their folder), or a CSV file.

    Args:
        trust: whether an environment that the run names may import a module.
        columns: of a CSV file, our name -> its own.

    Raises:
        InputError: it is not there, or not what it should be.
    """
    path = Path(path)
    if columns is not None:
        return read_columns(path, columns)
    if (path / "run.json").exists():
        return read_run_directory(path, trust=trust)
    if is_stable_baselines3(path):
        return read_stable_baselines3(path)
    return read_columns(path, {}) if path.is_file() else read_run_directory(path, trust=trust)


def runs_in(paths: Sequence[Path]) -> list[Path]:
    """The paths, each once; a sweep stands for its jobs that are there.

    Raises:
        InputError: `sweep.json` is a link or damaged, or lists no run that is there.
    """
    found: list[Path] = []
    for path in paths:
        if not is_sweep(path):
            found.append(path)
            continue
        there = [job for job in sweep_jobs(path) if (job / "run.json").is_file()]
        if not there:
            raise InputError(f"{path / 'sweep.json'} lists no run that is there: start the sweep again")
        found += there
    return list(dict.fromkeys(found))
