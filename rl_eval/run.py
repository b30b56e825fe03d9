"""The run directory: what training writes and everything else reads.

Only JSON, CSV, YAML and safetensors; every file but the append-only `metrics.csv` is written aside,
fsynced and renamed, so a reader never sees half of one.
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from rl_eval.errors import InputError

SCHEMA = 1
MAX_JSON_BYTES = 16 << 20
STATUSES = ("running", "finished", "failed", "interrupted")


def create_directory(path: Path) -> Path:
    """Make a directory that nobody else has, adding `_2`, `_3`, … to the name where it is taken."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for attempt in range(1, 10_000):
            candidate = path if attempt == 1 else path.with_name(f"{path.name}_{attempt}")
            with contextlib.suppress(FileExistsError):
                candidate.mkdir()
                return candidate
    except OSError as error:
        raise InputError(f"{path} cannot be made ({error.strerror}): name another with hydra.run.dir=...") from error
    raise InputError(f"{path} and 9,999 names like it are taken: name another folder with hydra.run.dir=...")


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file atomically."""
    aside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with open(aside, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(aside, path)


def write_text(path: Path, text: str) -> None:
    """Write a text file, UTF-8, atomically."""
    write_bytes(path, text.encode())


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write `values` with the schema number as JSON; NaN and infinities become null."""
    write_text(path, json.dumps(_finite({"schema": SCHEMA, **values}), indent=2, allow_nan=False) + "\n")


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(k): _finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object of ours.

    Raises:
        InputError: missing, too large, not JSON, or of another schema.
    """
    try:
        if path.stat().st_size > MAX_JSON_BYTES:
            raise InputError(f"{path} is larger than {MAX_JSON_BYTES >> 20} MiB, so it is not a file of ours")
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist") from error
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path} cannot be read as JSON ({error}): it is damaged or not ours") from error
    if not isinstance(values, dict) or values.get("schema") != SCHEMA:
        raise InputError(f"{path} does not say `schema: {SCHEMA}`: it was written by another program or version")
    return values


def write_checkpoint(directory: Path, name: str, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> None:
    """Write `<name>.safetensors` and `<name>.json` with its SHA-256 as a new directory, all or nothing."""
    from safetensors.numpy import save

    payload = save({key: np.asarray(value, order="C") for key, value in arrays.items()})
    aside = directory.with_name(f".{directory.name}.{os.getpid()}.tmp")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    with open(aside / f"{name}.safetensors", "wb") as file:
        file.write(payload)
        file.flush()
        os.fsync(file.fileno())
    write_json(aside / f"{name}.json", {**meta, "sha256": hashlib.sha256(payload).hexdigest()})
    _fsync(aside)
    if directory.exists():
        shutil.rmtree(directory)
    os.replace(aside, directory)
    _fsync(directory.parent)


def split_state(state: Mapping[str, Any], prefix: str = "") -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The arrays of a nested state by dotted name, and the rest of it as JSON values."""
    arrays: dict[str, np.ndarray] = {}
    rest: dict[str, Any] = {}
    for name, value in state.items():
        if isinstance(value, np.ndarray):
            arrays[f"{prefix}{name}"] = value
        elif isinstance(value, Mapping):
            inner, rest[name] = split_state(value, f"{prefix}{name}.")
            arrays |= inner
        else:
            rest[name] = value
    return arrays, rest


def join_state(arrays: Mapping[str, np.ndarray], rest: Mapping[str, Any]) -> dict[str, Any]:
    """The inverse of `split_state`."""
    state = {name: join_state({}, value) if isinstance(value, Mapping) else value for name, value in rest.items()}
    for dotted, array in arrays.items():
        *path, name = dotted.split(".")
        place = state
        for part in path:
            place = place[part]
        place[name] = array
    return state


def remove_directory(directory: Path) -> None:
    """Remove a checkpoint; renamed first, so that a reader never meets half of one."""
    aside = directory.with_name(f".{directory.name}.{os.getpid()}.gone")
    os.replace(directory, aside)
    shutil.rmtree(aside, ignore_errors=True)


def config_hash(config: Mapping[str, Any]) -> str:
    """A hash of what decides the run's bytes: not its name, its tracker or what it resumes."""
    deciding = {key: value for key, value in config.items() if key not in ("name", "tracker", "resume")}
    return hashlib.sha256(json.dumps(deciding, sort_keys=True, default=str).encode()).hexdigest()


def read_checkpoint(directory: Path, name: str) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The arrays and the metadata of a checkpoint whose bytes are whole.

    Raises:
        InputError: missing, truncated or altered; the file is named.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    meta = read_json(directory / f"{name}.json")
    file = directory / f"{name}.safetensors"
    try:
        payload = file.read_bytes()
    except OSError as error:
        raise InputError(f"{file} cannot be read ({error}): use another snapshot of the run") from error
    if hashlib.sha256(payload).hexdigest() != meta.get("sha256"):
        raise InputError(f"{file} is truncated or altered (its SHA-256 differs): use another snapshot of the run")
    try:
        return load(payload), meta
    except SafetensorError as error:
        raise InputError(f"{file} is not a safetensors file ({error}): use another snapshot of the run") from error


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
        """The snapshot that gates judge: the best on `select`, else the last.

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


def steps_in(folder: Path) -> list[Path]:
    """The `step_<n>` directories in a folder, by n; never a link, which may lead out of the run."""
    if not folder.is_dir():
        return []
    named = [p for p in folder.iterdir() if re.fullmatch("step_[0-9]+", p.name) and p.is_dir() and not p.is_symlink()]
    return sorted(named, key=lambda p: int(p.name[5:]))


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


class MetricsLog:
    """`metrics.csv`, append-only; the first row decides the columns."""

    def __init__(self, path: Path):
        self._path = path
        self._columns: list[str] | None = None
        if path.exists():
            with open(path, newline="", encoding="utf-8") as file:
                self._columns = next(csv.reader(file), None)

    def append(self, row: Mapping[str, Any]) -> None:
        """Add a row.

        Raises:
            ValueError: the row's names differ from the first row's.
        """
        if self._columns is None:
            self._columns = list(row)
            self._write(self._columns)
        if set(row) != set(self._columns):
            raise ValueError(f"metrics row has {sorted(set(row) ^ set(self._columns))} more or less than the header")
        self._write([_cell(row[name]) for name in self._columns])

    def _write(self, cells: list[Any]) -> None:
        with open(self._path, "a", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerow(cells)

    def cut_to(self, rows: int) -> None:
        """Keep the first `rows` rows, those before a resume point."""
        if not self._path.exists():
            return
        lines = self._path.read_text(encoding="utf-8").splitlines(keepends=True)
        if rows == 0:
            self._path.unlink()
            self._columns = None
        else:
            write_text(self._path, "".join(lines[: 1 + rows]))


def _cell(value: Any) -> Any:
    if isinstance(value, float | np.floating):
        return repr(float(value))
    return value


def read_metrics(path: Path) -> dict[str, np.ndarray]:
    """`metrics.csv` as column name -> float64 array; empty cells are NaN.

    Raises:
        InputError: missing or not a table of numbers.
    """
    try:
        with open(path, newline="", encoding="utf-8") as file:
            reader = csv.reader(file)
            header = next(reader, [])
            rows = [row for row in reader if len(row) == len(header)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} cannot be read: {error}") from error
    try:
        return {
            name: np.array([float(row[i]) if row[i] else np.nan for row in rows], np.float64)
            for i, name in enumerate(header)
        }
    except ValueError as error:
        raise InputError(f"{path} holds a cell that is not a number: {error}") from error
