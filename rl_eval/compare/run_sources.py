"""Read the runs that a person names: run directories, sweeps, W&B projects, offline W&B folders, other logs."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from pathlib import Path

from rl_eval.compare.compared_run import ComparedRun, finite_numbers, flat_config
from rl_eval.compare.other_runs import run_of_log
from rl_eval.compare.wandb_offline import read_offline
from rl_eval.compare.wandb_project import read_project
from rl_eval.errors import InputError
from rl_eval.foreign_logs import find_logs
from rl_eval.run import is_sweep, read_record, sweep_jobs

MAX_RUNS = 512


def read_runs(names: Iterable[str], repeated: list[str], columns: Mapping[str, str] | None = None) -> list[ComparedRun]:
    """Every run that is named, in order and without duplicates.

    Args:
        repeated: receives the names of the duplicates.
        columns: of logs of other programs, our name -> theirs.

    Raises:
        InputError: one does not exist or is damaged, or there are too many.
    """
    runs: dict[str, ComparedRun] = {}
    for run in itertools.chain.from_iterable(_read(name, columns or {}) for name in names):
        if runs.setdefault(_identity(run), run) is not run:
            repeated.append(run.name)
        if len(runs) > MAX_RUNS:
            raise InputError(f"more than {MAX_RUNS} runs are too many for a comparison: name fewer")
    return list(runs.values())


def _identity(run: ComparedRun) -> str:
    return str(run.record.path.resolve()) if run.record else f"{run.source}:{run.name}"


def _read(name: str, columns: Mapping[str, str]) -> Iterable[ComparedRun]:
    if name.startswith("wandb:"):
        return read_project(name, columns)
    path = Path(name)
    if is_sweep(path):
        return [read_directory(directory) for directory in sweep_jobs(path)[: MAX_RUNS + 1]]
    if (path / "run.json").exists():
        return [read_directory(path)]
    if files := _wandb_files(path):
        return (read_offline(file, columns) for file in files)
    # A folder of run directories is not a folder of logs, even if a tracker wrote some below them.
    logs = [log for log in find_logs(path) if log == path or not _in_run_directory(log)]
    return (run_of_log(log, columns) for log in logs) if logs else [read_directory(path)]


def _wandb_files(path: Path) -> list[Path]:
    """The offline runs of a folder that W&B made for one run, or for all runs."""
    return sorted(path.glob("run-*.wandb")) or sorted(path.glob("*run-*/run-*.wandb")) if path.is_dir() else []


def _in_run_directory(log: Path) -> bool:
    return any((folder / "run.json").exists() for folder in (log, log.parent))


def read_directory(path: Path) -> ComparedRun:
    """A run directory of train.py. Nothing in it is executed.

    Raises:
        InputError: it is not a run directory, or it is damaged.
    """
    record = read_record(path)
    config = flat_config(record.config, str(path / "config.yaml"))
    if "env.backend" in config and record.info.get("backend") in ("gymnasium", "envpool"):
        config["env.backend"] = record.info["backend"]  # the backend that `auto` chose
    results = finite_numbers(record.info.get("results"))
    return ComparedRun(str(path), "run", config, str(record.info["status"]), results, dict(record.curves), record)
