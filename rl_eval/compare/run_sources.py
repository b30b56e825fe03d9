"""Read the runs that a person names: run directories, sweeps, W&B projects and offline W&B folders."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from pathlib import Path

from rl_eval.compare.compared_run import ComparedRun, finite_numbers, flat_config
from rl_eval.compare.wandb_offline import read_offline
from rl_eval.compare.wandb_project import read_project
from rl_eval.errors import InputError
from rl_eval.run import is_sweep, read_record, sweep_jobs

MAX_RUNS = 512


def read_runs(names: Iterable[str], repeated: list[str]) -> list[ComparedRun]:
    """Every run that is named, in order and without duplicates.

    Args:
        repeated: receives the names of the duplicates.

    Raises:
        InputError: one does not exist or is damaged, or there are too many.
    """
    runs: dict[str, ComparedRun] = {}
    for run in itertools.chain.from_iterable(map(_read, names)):
        if runs.setdefault(_identity(run), run) is not run:
            repeated.append(run.name)
        if len(runs) > MAX_RUNS:
            raise InputError(f"more than {MAX_RUNS} runs are too many for a comparison: name fewer")
    return list(runs.values())


def _identity(run: ComparedRun) -> str:
    return str(run.record.path.resolve()) if run.record else f"{run.source}:{run.name}"


def _read(name: str) -> Iterable[ComparedRun]:
    if name.startswith("wandb:"):
        return read_project(name)
    path = Path(name)
    if is_sweep(path):
        return [read_directory(directory) for directory in sweep_jobs(path)[: MAX_RUNS + 1]]
    files = [] if (path / "run.json").exists() or not path.is_dir() else sorted(path.glob("run-*.wandb"))
    if files:
        return [read_offline(file, name) for file in files]
    return [read_directory(path)]


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
