"""A run as it is found on the disk."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rl_eval.errors import InputError
from rl_eval.run._checkpoint import steps_in
from rl_eval.run._files import read_json

STATUSES = ("running", "finished", "failed", "interrupted")


def config_hash(config: Mapping[str, Any]) -> str:
    """A hash of what decides the run's bytes: not its name, its tracker or what it resumes."""
    deciding = {key: value for key, value in config.items() if key not in ("name", "tracker", "resume")}
    return hashlib.sha256(json.dumps(deciding, sort_keys=True, default=str).encode()).hexdigest()


@dataclass(frozen=True)
class Run:
    """A run directory that has been read: `info` is `run.json`, `config` is `config.yaml`."""

    path: Path
    info: dict[str, Any] = field(repr=False)
    config: dict[str, Any] = field(repr=False)

    @property
    def finished(self) -> bool:
        """Whether training ended as it was meant to."""
        return self.info["status"] == "finished"

    def snapshots(self) -> list[Path]:
        """The snapshots, oldest first."""
        return steps_in(self.path / "snapshots")

    def judged_snapshot(self) -> Path:
        """The snapshot that gates judge: the best on the validation part, else the last.

        Raises:
            InputError: the run has none.
        """
        named = self.info.get("snapshot")
        snapshots = self.snapshots()
        if named is not None:
            for found in snapshots:
                if found.name == named:
                    return found
            raise InputError(f"{self.path} names {named!r} as its policy, but has no such snapshot: train again")
        if not snapshots:
            raise InputError(f"{self.path} holds no snapshot: train on with `python train.py resume={self.path}`")
        return snapshots[-1]


def read_run(path: Path | str) -> Run:
    """Read a run directory.

    Raises:
        InputError: it does not exist, is not a run, or its files are damaged.
    """
    path = Path(path)
    if not path.is_dir():
        raise InputError(f"{path} is not a directory: name a run directory, such as outputs/<date>/<run>")
    if not (path / "run.json").is_file() or not (path / "config.yaml").is_file():
        raise InputError(
            f"{path} is not a run directory (it has no run.json and config.yaml): "
            "name one that train.py made, such as outputs/<date>/<run>"
        )
    info = read_json(path / "run.json")
    if info.get("status") not in STATUSES:
        raise InputError(f"{path / 'run.json'} has status {info.get('status')!r}, not one of {', '.join(STATUSES)}")
    import yaml

    try:
        config = yaml.safe_load((path / "config.yaml").read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise InputError(f"{path / 'config.yaml'} cannot be read as YAML: it is damaged or not ours") from error
    if not isinstance(config, dict) or not isinstance(config.get("env"), dict):
        raise InputError(f"{path / 'config.yaml'} holds no `env:` section: it is damaged or not ours")
    return Run(path, info, config)


def find_runs(outputs: Path) -> list[Run]:
    """Every readable run below a folder, oldest first by the time it started."""
    runs = []
    for file in sorted(outputs.glob("**/run.json")):
        try:
            runs.append(read_run(file.parent))
        except InputError:
            continue  # a half-written or foreign directory is no run
    return sorted(runs, key=lambda run: str(run.info.get("started", "")))


def is_sweep(path: Path) -> bool:
    """Whether a directory is a sweep's, and no run's."""
    return (path / "sweep.json").is_file() and not (path / "run.json").exists()


def sweep_jobs(sweep: Path) -> list[Path]:
    """The run directories that a sweep lists; whether each is there is another question.

    By their names alone: a sweep may have been moved, and its file may not point elsewhere.

    Raises:
        InputError: `sweep.json` is a link or damaged, or lists no run.
    """
    file = sweep / "sweep.json"
    if file.is_symlink():
        raise InputError(f"{file} is a link, which may lead out of the sweep: put the file itself there")
    jobs = read_json(file).get("jobs")
    listed = jobs if isinstance(jobs, list) else []
    names = [Path(str(job.get("directory"))).name for job in listed if isinstance(job, dict)]
    found = [sweep / name for name in names if name not in ("", "..")]
    if not found:
        raise InputError(f"{file} lists no run: start the sweep again, or name the runs themselves")
    return list(dict.fromkeys(found))
