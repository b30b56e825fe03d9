"""Verify a run: train it again from its config, and compare the bytes."""

from __future__ import annotations

import csv
import itertools
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from rl_eval import run
from rl_eval.errors import InputError
from rl_eval.training import replay
from rl_eval.untrusted_files import only_regular

TIME_COLUMNS = ("wall_s",)  # of metrics.csv; no replay repeats them
# Keys of run.json: the results of the training.
RESULT_KEYS = (
    "status", "reason", "env_steps", "gradient_steps", "training_epochs", "episodes", "steps_finished",
    "steps_in_flight", "steps_cut", "snapshot", "validation_score", "results",
)  # fmt: skip
# Keys of run.json: what could explain a difference.
ORIGIN_KEYS = ("versions", "git_revision", "hardware", "backend", "data_fingerprints")
MAX_METRICS_BYTES = 1 << 30


@dataclass(frozen=True)
class PartComparison:
    """A part of a run, and where it first differs from the replay; None: nowhere."""

    name: str
    difference: str | None


@dataclass(frozen=True)
class Verification:
    """A run and its replay.

    Attributes:
        env_steps: how far the replay went.
        parts: every part that was compared.
        explanations: what differs in how the two were trained.
    """

    env_steps: int
    parts: tuple[PartComparison, ...]
    explanations: tuple[str, ...]

    @property
    def agrees(self) -> bool:
        """Whether no part differs."""
        return all(part.difference is None for part in self.parts)


def verify(path: Path, *, trust: bool = False, on_step: Callable[..., None] = lambda *_: None) -> Verification:
    """Replay a run in a temporary directory and compare; the run itself is only read.

    A finished run is replayed to its end, any other up to its last snapshot.

    Args:
        trust: whether the environment may come from a module that the run names.
        on_step: called after every iteration of the replay with env steps, mean return and validation score.

    Raises:
        InputError: no run, one that is being trained, or one that cannot be trained here.
    """
    original = run.read_run(path)
    if original.info["status"] == "running":
        with run.lock(path):  # refused while somebody trains it
            original = run.read_run(path)
    with TemporaryDirectory(prefix="rl_eval-verify-") as folder:
        try:
            replayed = replay(original, Path(folder), trust=trust, on_step=on_step)
        except OSError as error:
            if (reason := run.storage_error(error)) is None:
                raise
            raise InputError(f"{reason}: name a folder with room for the replay in TMPDIR") from error
        parts = tuple(_compare_parts(original, replayed))
        return Verification(replayed.info["env_steps"], parts, tuple(_explanations(original, replayed)))


def _compare_parts(original: run.Run, replayed: run.Run) -> Iterator[PartComparison]:
    for snapshot in original.snapshots():
        name = f"snapshots/{snapshot.name}"
        yield PartComparison(name, _snapshot_difference(snapshot, replayed.path / name))
    until = None if original.finished else replayed.info["env_steps"]
    yield PartComparison("metrics.csv", _metrics_difference(original.path, replayed.path, until))
    for name in ["preprocessing.json", *(["seen.npz"] if original.finished else [])]:
        file, replayed_file = original.path / name, replayed.path / name
        if file.exists() or replayed_file.exists():
            yield PartComparison(name, _file_difference(file, replayed_file))
    # A run that was killed, or stopped in the middle of an iteration, has no results of its last snapshot.
    if original.finished or (original.info["status"] == "interrupted" and not original.info.get("reason")):
        yield PartComparison("run.json", _result_difference(original.info, replayed.info))


def _snapshot_difference(snapshot: Path, replayed: Path) -> str | None:
    """The first tensor, or key of the JSON, where two snapshots differ."""
    try:
        arrays, meta = run.read_checkpoint(snapshot, "policy")
    except run.DamagedError as error:
        return error.damage
    if not replayed.is_dir():
        return "the replay has no snapshot at this step"
    replayed_arrays, replayed_meta = run.read_checkpoint(replayed, "policy")
    for name in sorted(arrays.keys() | replayed_arrays.keys()):
        if name not in arrays or name not in replayed_arrays:
            return f"tensor {name!r} is only in {'the run' if name in arrays else 'the replay'}"
        if difference := _tensor_difference(arrays[name], replayed_arrays[name]):
            return f"tensor {name!r}: {difference}"
    keys = [key for key in {**meta, **replayed_meta} if key != "sha256" and meta.get(key) != replayed_meta.get(key)]
    if keys:
        return f"policy.json: {keys[0]!r}"
    if (snapshot / "policy.safetensors").read_bytes() != (replayed / "policy.safetensors").read_bytes():
        return "policy.safetensors: its header"
    return None


def _tensor_difference(array: np.ndarray, replayed: np.ndarray) -> str | None:
    if (array.dtype, array.shape) != (replayed.dtype, replayed.shape):
        return f"{array.dtype} {list(array.shape)} in the run, {replayed.dtype} {list(replayed.shape)} in the replay"
    if array.tobytes() == replayed.tobytes():
        return None
    size = array.dtype.itemsize
    rows = [np.frombuffer(array.tobytes(), np.uint8).reshape(-1, size) for array in (array, replayed)]
    differs = np.flatnonzero((rows[0] != rows[1]).any(axis=1))
    first = np.unravel_index(differs[0], array.shape)
    position = ", ".join(str(int(i)) for i in first)
    count = f"{len(differs):,} of {array.size:,}"
    return f"{array[first]} in the run, {replayed[first]} in the replay at [{position}]; {count}"


def _rows(directory: Path) -> list[list[str]]:
    """The cells of `metrics.csv`, its header first."""
    path = directory / "metrics.csv"
    try:
        if path.stat().st_size > MAX_METRICS_BYTES:
            raise InputError(f"{path} is larger than {MAX_METRICS_BYTES >> 30} GiB, so no run wrote it")
        with open(path, newline="", encoding="utf-8", opener=only_regular) as file:
            return list(csv.reader(line for line in file if line.endswith("\n")))
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} cannot be read: {error}") from error


def _metrics_difference(directory: Path, replayed: Path, until: int | None) -> str | None:
    """The first row and column where two logs differ, without times; of the rows up to `until` env steps."""
    (header, *run_rows), (replay_header, *replay_rows) = _rows(directory) or [[]], _rows(replayed) or [[]]
    if header != replay_header:
        columns = itertools.zip_longest(header, replay_header)
        number, (first, second) = next((i, pair) for i, pair in enumerate(columns, 1) if pair[0] != pair[1])
        return f"column {number} is {first!r} in the run, {second!r} in the replay"
    if until is not None and "env_steps" in header:
        column = header.index("env_steps")
        steps = [row[column] if len(row) > column else "" for row in run_rows]
        run_rows = [row for row, step in zip(run_rows, steps, strict=True) if step.isdecimal() and int(step) <= until]
        replay_rows = replay_rows[: len(run_rows)]  # it has a last row from when it stopped
    for number, (row, replayed_row) in enumerate(zip(run_rows, replay_rows, strict=False), 1):
        for name, first, second in itertools.zip_longest(header, row, replayed_row):
            if name not in TIME_COLUMNS and first != second:
                return f"row {number}, column {name!r}: {first!r} in the run, {second!r} in the replay"
    if len(run_rows) != len(replay_rows):
        return f"{len(run_rows):,} rows in the run, {len(replay_rows):,} in the replay"
    return None


def _file_difference(file: Path, replayed: Path) -> str | None:
    for path, owner in ((file, "run"), (replayed, "replay")):
        if not path.is_file():
            return f"the {owner} has none"
    if file.stat().st_size != replayed.stat().st_size:
        return f"{file.stat().st_size:,} bytes in the run, {replayed.stat().st_size:,} in the replay"
    first, second = file.read_bytes(), replayed.read_bytes()
    if first == second:
        return None
    return f"byte {next(i for i, (a, b) in enumerate(zip(first, second, strict=True)) if a != b):,}"


def _result_difference(info: Mapping[str, Any], replayed: Mapping[str, Any]) -> str | None:
    # Through JSON, as the run's own went.
    replayed = json.loads(json.dumps(replayed))
    for key in RESULT_KEYS:
        for name, first, second in _value_pairs(key, info.get(key), replayed.get(key)):
            if first != second:
                return f"{name}: {first!r} in the run, {second!r} in the replay"
    return None


def _value_pairs(name: str, first: Any, second: Any) -> Iterator[tuple[str, Any, Any]]:
    """The values of two JSON values side by side, by dotted name."""
    if isinstance(first, dict) and isinstance(second, dict):
        for key in {**second, **first}:
            yield from _value_pairs(f"{name}.{key}" if name else str(key), first.get(key), second.get(key))
    else:
        yield name, first, second


def _explanations(original: run.Run, replayed: run.Run) -> Iterator[str]:
    """Differences in how the two runs were trained."""
    if not original.has_own_config:
        yield "config.yaml is not what the run was trained with: its hash is not the one in run.json"
    for key in ORIGIN_KEYS:
        for name, first, second in _value_pairs(key, original.info.get(key), replayed.info.get(key)):
            if first != second:
                yield f"{name.removeprefix('versions.')}: {first!r} in the run, {second!r} here"
