"""Whether a run's bytes are what its config gives: replay it, and compare."""

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

TIMES = ("wall_s",)  # columns of metrics.csv that no replay can repeat
# Of run.json: what the training came to.
FIGURES = (
    "status", "reason", "env_steps", "gradient_steps", "training_epochs", "episodes", "steps_finished",
    "steps_in_flight", "steps_cut", "snapshot", "validation_score", "results",
)  # fmt: skip
# Of run.json: what could explain a difference.
ORIGINS = ("versions", "git_revision", "hardware", "backend", "data_fingerprints")
MAX_METRICS_BYTES = 1 << 30


@dataclass(frozen=True)
class Finding:
    """A part of a run, and where it first differs; None: nowhere."""

    part: str
    difference: str | None


@dataclass(frozen=True)
class Verification:
    """What was compared up to which env step, and what differs in how the two were made."""

    env_steps: int
    findings: tuple[Finding, ...]
    explanations: tuple[str, ...]

    @property
    def agrees(self) -> bool:
        """Whether every byte does."""
        return all(finding.difference is None for finding in self.findings)


def verify(path: Path, *, trust: bool = False, on_step: Callable[..., None] = lambda *_: None) -> Verification:
    """Replay a run in a temporary directory and compare; the run itself is only read.

    A finished run is replayed to its end, any other as far as its last snapshot.

    Args:
        trust: whether the environment may come from a module that the run names.
        on_step: called after every iteration of the replay with env steps, mean return and selection score.

    Raises:
        InputError: no run, one that is being trained, or one that cannot be trained here.
    """
    from rl_eval.training import replay

    original = run.read_run(path)
    if original.info["status"] == "running":
        with run.lock(path):  # refused while somebody trains it
            original = run.read_run(path)
    with TemporaryDirectory(prefix="rl_eval-verify-") as folder:
        try:
            again = replay(original, Path(folder), trust=trust, on_step=on_step)
        except OSError as error:
            if (reason := run.storage_error(error)) is None:
                raise
            raise InputError(f"{reason}: name a folder with room for the replay in TMPDIR") from error
        findings = tuple(_findings(original, again))
        env_steps = again.info["env_steps"]
        return Verification(env_steps, findings, tuple(_explanations(original, again)))


def _findings(original: run.Run, again: run.Run) -> Iterator[Finding]:
    for snapshot in original.snapshots():
        part = f"snapshots/{snapshot.name}"
        yield Finding(part, _snapshot_difference(snapshot, again.path / part))
    until = None if original.finished else again.info["env_steps"]
    yield Finding("metrics.csv", _metrics_difference(original.path, again.path, until))
    whole = ["preprocessing.json", *(["seen.npz"] if original.finished else [])]
    for name in whole:
        there, here = original.path / name, again.path / name
        if there.exists() or here.exists():
            yield Finding(name, _file_difference(there, here))
    # One that was killed, or stopped in the middle of an iteration, has no figures of its last snapshot.
    if original.finished or (original.info["status"] == "interrupted" and not original.info.get("reason")):
        yield Finding("run.json", _figures_difference(original.info, again.info))


def _snapshot_difference(there: Path, here: Path) -> str | None:
    """The first tensor, or key of the JSON, in which two snapshots differ."""
    try:
        arrays, meta = run.read_checkpoint(there, "policy")
    except run.DamagedError as error:
        return error.damage
    if not here.is_dir():
        return "the replay took none at this step"
    replayed, replayed_meta = run.read_checkpoint(here, "policy")
    for name in sorted(arrays.keys() | replayed.keys()):
        if name not in arrays or name not in replayed:
            return f"tensor {name!r} is only in {'the run' if name in arrays else 'the replay'}"
        if difference := _tensor_difference(arrays[name], replayed[name]):
            return f"tensor {name!r}: {difference}"
    keys = [key for key in {**meta, **replayed_meta} if key != "sha256" and meta.get(key) != replayed_meta.get(key)]
    if keys:
        return f"policy.json: {keys[0]!r}"
    if (there / "policy.safetensors").read_bytes() != (here / "policy.safetensors").read_bytes():
        return "policy.safetensors: its header"
    return None


def _tensor_difference(there: np.ndarray, here: np.ndarray) -> str | None:
    if (there.dtype, there.shape) != (here.dtype, here.shape):
        return f"{there.dtype} {list(there.shape)} in the run, {here.dtype} {list(here.shape)} in the replay"
    if there.tobytes() == here.tobytes():
        return None
    size = there.dtype.itemsize
    rows = [np.frombuffer(array.tobytes(), np.uint8).reshape(-1, size) for array in (there, here)]
    differs = np.flatnonzero((rows[0] != rows[1]).any(axis=1))
    first = np.unravel_index(differs[0], there.shape)
    where = ", ".join(str(int(i)) for i in first)
    return f"{there[first]} in the run, {here[first]} in the replay at [{where}]; {len(differs):,} of {there.size:,}"


def _rows(directory: Path) -> list[list[str]]:
    """The cells of `metrics.csv`, its header first."""
    path = directory / "metrics.csv"
    try:
        if path.stat().st_size > MAX_METRICS_BYTES:
            raise InputError(f"{path} is larger than {MAX_METRICS_BYTES >> 30} GiB, so it is not a file of ours")
        with open(path, newline="", encoding="utf-8") as file:
            return list(csv.reader(line for line in file if line.endswith("\n")))
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} cannot be read: {error}") from error


def _metrics_difference(there: Path, here: Path, until: int | None) -> str | None:
    """The first row and column in which two logs differ, times apart; of the rows up to `until` env steps."""
    (header, *run_rows), (replay_header, *replay_rows) = _rows(there) or [[]], _rows(here) or [[]]
    if header != replay_header:
        columns = itertools.zip_longest(header, replay_header)
        number, (first, second) = next((i, pair) for i, pair in enumerate(columns, 1) if pair[0] != pair[1])
        return f"column {number} is {first!r} in the run, {second!r} in the replay"
    if until is not None and "env_steps" in header:
        place = header.index("env_steps")
        run_rows = [row for row in run_rows if len(row) > place and row[place].isdecimal() and int(row[place]) <= until]
        replay_rows = replay_rows[: len(run_rows)]  # it also wrote down what it had when it stopped
    for number, (row, replayed) in enumerate(zip(run_rows, replay_rows, strict=False), 1):
        for name, first, second in itertools.zip_longest(header, row, replayed):
            if name not in TIMES and first != second:
                return f"row {number}, column {name!r}: {first!r} in the run, {second!r} in the replay"
    if len(run_rows) != len(replay_rows):
        return f"{len(run_rows):,} rows in the run, {len(replay_rows):,} in the replay"
    return None


def _file_difference(there: Path, here: Path) -> str | None:
    for path, which in ((there, "run"), (here, "replay")):
        if not path.is_file():
            return f"the {which} has none"
    if there.stat().st_size != here.stat().st_size:
        return f"{there.stat().st_size:,} bytes in the run, {here.stat().st_size:,} in the replay"
    first, second = there.read_bytes(), here.read_bytes()
    if first == second:
        return None
    return f"byte {next(i for i, (a, b) in enumerate(zip(first, second, strict=True)) if a != b):,}"


def _figures_difference(there: Mapping[str, Any], here: Mapping[str, Any]) -> str | None:
    # Through JSON, as the run's own went.
    here = json.loads(json.dumps(here))
    for key in FIGURES:
        for name, first, second in _leaves(key, there.get(key), here.get(key)):
            if first != second:
                return f"{name}: {first!r} in the run, {second!r} in the replay"
    return None


def _leaves(name: str, there: Any, here: Any) -> Iterator[tuple[str, Any, Any]]:
    """The values of two JSON values side by side, by dotted name."""
    if isinstance(there, dict) and isinstance(here, dict):
        for key in {**here, **there}:
            yield from _leaves(f"{name}.{key}" if name else str(key), there.get(key), here.get(key))
    else:
        yield name, there, here


def _explanations(original: run.Run, again: run.Run) -> Iterator[str]:
    """What differs in how the two were made."""
    from rl_eval import config as configs

    if original.info.get("config_hash") != run.config_hash(configs.load(original.config).to_dict()):
        yield "config.yaml is not what the run was trained with: its hash is not the one in run.json"
    for key in ORIGINS:
        for name, there, here in _leaves(key, original.info.get(key), again.info.get(key)):
            if there != here:
                yield f"{name.removeprefix('versions.')}: {there!r} in the run, {here!r} here"
