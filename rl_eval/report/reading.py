"""What a run directory tells a page: read with limits, since a directory may come from anyone.

Nothing of it is run, no link out of the directory is followed, and what is missing or damaged becomes a sentence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from rl_eval.diagnostics._table import read_table
from rl_eval.errors import InputError
from rl_eval.gates.verdict import SuiteVerdict
from rl_eval.run import Run, is_sweep, read_json, read_run, sweep_jobs

MAX_CONFIG_BYTES = 256 << 10
MOST_CRITERIA = 100


@dataclass(frozen=True)
class Told:
    """A run and what lies beside it.

    Attributes:
        suites: of `verdict.json`.
        metrics: the columns of `metrics.csv`, each `[rows]`.
        missing: a sentence on each thing that cannot be shown.
    """

    run: Run
    suites: tuple[SuiteVerdict, ...]
    metrics: dict[str, np.ndarray] = field(repr=False)
    missing: tuple[str, ...] = ()

    @property
    def seed(self) -> int:
        """The run's seed; 0 where its config names none."""
        seed = self.run.config.get("seed")
        return seed if isinstance(seed, int) and 0 <= seed < 1 << 63 else 0


def read(path: Path) -> Told:
    """A run, with whatever is whole of its verdict and metrics.

    Raises:
        InputError: it is not a run directory, or `run.json` or `config.yaml` cannot be read.
    """
    for name in ("run.json", "config.yaml"):
        _refuse_link(path / name)
    file = path / "config.yaml"
    if file.is_file() and file.stat().st_size > MAX_CONFIG_BYTES:
        raise InputError(f"{file} is larger than {MAX_CONFIG_BYTES >> 10} KiB, so it is not a config of ours")
    run = read_run(path)
    missing: list[str] = []
    suites = _or_missing(lambda: _suites(path / "verdict.json"), (), missing)
    metrics = _or_missing(lambda: _metrics(path / "metrics.csv"), {}, missing)
    return Told(run, suites, metrics, tuple(missing))


def runs_named(paths: Sequence[Path]) -> list[Path]:
    """The run directories that paths name; a sweep stands for its jobs.

    Raises:
        InputError: none of them is there, or one is neither a run nor a sweep.
    """
    found: list[Path] = []
    for path in paths:
        if (path / "run.json").is_file():
            found.append(path)
            continue
        if not is_sweep(path):
            raise InputError(
                f"{path} is neither a run directory (it has no run.json) nor a sweep (no sweep.json): "
                "name one that train.py made, such as outputs/<date>/<run>"
            )
        there = [job for job in sweep_jobs(path) if (job / "run.json").is_file()]
        if not there:
            raise InputError(f"{path / 'sweep.json'} lists no run that is there: start the sweep again")
        found += there
    return list(dict.fromkeys(found))


def _or_missing(read: Any, otherwise: Any, missing: list[str]) -> Any:
    try:
        return read()
    except InputError as error:
        missing.append(str(error))
        return otherwise


def _refuse_link(file: Path) -> None:
    if file.is_symlink():
        raise InputError(f"{file} is a link, which may lead out of the run: put the file itself there")


def _suites(file: Path) -> tuple[SuiteVerdict, ...]:
    from pydantic import TypeAdapter, ValidationError

    _refuse_link(file)
    if not file.is_file():
        raise InputError(f"{file.name} is not there: the run has not been judged")
    try:
        suites = TypeAdapter(tuple[SuiteVerdict, ...]).validate_python(read_json(file).get("suites"))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InputError(f"{file.name} is damaged at suites.{where} ({first['msg']}): judge the run again") from error
    if sum(len(suite.criteria) for suite in suites) > MOST_CRITERIA:
        raise InputError(f"{file.name} holds more than {MOST_CRITERIA} criteria, so it is not a verdict of ours")
    return suites


def _metrics(file: Path) -> dict[str, np.ndarray]:
    columns = read_table(file)
    if "env_steps" not in columns or not np.isfinite(columns["env_steps"]).any():
        raise InputError(f"{file.name} has no row with env_steps, so there are no learning curves")
    return columns
