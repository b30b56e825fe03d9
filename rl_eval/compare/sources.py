"""From what a person names to runs: run directories, sweeps, W&B projects, offline W&B folders."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from pathlib import Path

from rl_eval.compare.entry import Entry, finite_numbers, flat_config
from rl_eval.errors import InputError
from rl_eval.run import Run, is_sweep, read_metrics, read_run, sweep_jobs

MOST_RUNS = 512
_MAX_CONFIG_BYTES = 1 << 20
_MAX_METRICS_BYTES = 128 << 20


def read_all(named: Iterable[str]) -> list[Entry]:
    """Every run that is named, each once, in order.

    Raises:
        InputError: one does not exist, is damaged, or there are too many.
    """
    found: dict[str, Entry] = {}
    for each in itertools.chain.from_iterable(map(_read, named)):
        found.setdefault(_identity(each), each)
        if len(found) > MOST_RUNS:
            raise InputError(f"more than {MOST_RUNS} runs are named, and no page could show them: name fewer")
    return list(found.values())


def _identity(entry: Entry) -> str:
    return str(entry.run.path.resolve()) if entry.run else f"{entry.source}:{entry.name}"


def _read(named: str) -> Iterable[Entry]:
    if named.startswith("wandb:"):
        from rl_eval.compare.wandb_project import read_project

        return read_project(named)
    path = Path(named)
    if is_sweep(path):
        return [read_directory(directory) for directory in sweep_jobs(path)[: MOST_RUNS + 1]]
    files = [] if (path / "run.json").exists() or not path.is_dir() else sorted(path.glob("run-*.wandb"))
    if files:
        from rl_eval.compare.wandb_offline import read_offline

        return [read_offline(file, named) for file in files]
    return [read_directory(path)]


def read_directory(path: Path) -> Entry:
    """A run directory of train.py; nothing in it is executed.

    Raises:
        InputError: it is not one, or damaged.
    """
    _refuse_large(path / "config.yaml", _MAX_CONFIG_BYTES)
    try:
        run = read_run(path)
        config = flat_config(run.config, str(path / "config.yaml"))
        if "env.backend" in config and run.info.get("backend") in ("gymnasium", "envpool"):
            config["env.backend"] = run.info["backend"]  # what `auto` became
    except RecursionError as error:
        raise InputError(f"{path / 'config.yaml'} is nested too deeply: it is not a config of ours") from error
    return Entry(str(path), "run", config, str(run.info["status"]), _results(run), _curves(path), run)


def _results(run: Run) -> dict[str, float]:
    return finite_numbers(run.info.get("results"))


def _curves(path: Path) -> dict:
    file = path / "metrics.csv"
    if not file.is_file():
        return {}
    _refuse_large(file, _MAX_METRICS_BYTES)
    return read_metrics(file)


def _refuse_large(file: Path, most: int) -> None:
    try:
        size = file.stat().st_size
    except OSError:
        return  # whoever reads it says what is missing
    if size > most:
        raise InputError(f"{file} is larger than {most >> 20} MiB, so it is not a file of ours")
