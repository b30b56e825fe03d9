"""Sweeps: folders of runs with a `sweep.json` that lists them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rl_eval.errors import InputError
from rl_eval.run._files import read_json, refuse_link


def is_sweep(path: Path) -> bool:
    """Whether a directory is a sweep and not a run."""
    return (path / "sweep.json").is_file() and not (path / "run.json").exists()


def sweep_jobs(sweep: Path) -> list[Path]:
    """The run directories that a sweep lists, whether they exist or not.

    Only the last part of each name counts: a sweep may have been moved, and its file may not point elsewhere.

    Raises:
        InputError: `sweep.json` is a link or damaged, or lists no run.
    """
    file = sweep / "sweep.json"
    refuse_link(file)
    jobs = read_json(file).get("jobs")
    entries = jobs if isinstance(jobs, list) else []
    names = [Path(str(job.get("directory"))).name for job in entries if isinstance(job, dict)]
    directories = [sweep / name for name in names if name not in ("", "..")]
    if not directories:
        raise InputError(f"{file} lists no run: start the sweep again, or name the runs themselves")
    return list(dict.fromkeys(directories))


def expand_sweeps(paths: Sequence[Path]) -> list[Path]:
    """The paths, with each sweep replaced by its existing jobs, without duplicates.

    Raises:
        InputError: `sweep.json` is a link or damaged, or lists no run that exists.
    """
    runs: list[Path] = []
    for path in paths:
        if not is_sweep(path):
            runs.append(path)
            continue
        existing = [job for job in sweep_jobs(path) if (job / "run.json").is_file()]
        if not existing:
            raise InputError(f"{path / 'sweep.json'} lists no run that is there: start the sweep again")
        runs += existing
    return list(dict.fromkeys(runs))
