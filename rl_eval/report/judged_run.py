"""`JudgedRun`: the content of a run directory that a page shows; damaged files become notes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import TypeAdapter, ValidationError

from rl_eval.errors import InputError
from rl_eval.gates.verdict import SuiteVerdict
from rl_eval.run import RunRecord, read_run, read_table, read_verdicts

MAX_CRITERIA = 100


@dataclass(frozen=True)
class JudgedRun(RunRecord):
    """A run record with the verdicts on it.

    Attributes:
        suites: the checked contents of `verdict.json`.
    """

    suites: tuple[SuiteVerdict, ...] = ()


def read_judged_run(path: Path) -> JudgedRun:
    """Read a run directory. Damaged verdicts or metrics become sentences in `missing`.

    Raises:
        InputError: it is not a run directory, or `run.json` or `config.yaml` cannot be read.
    """
    run = read_run(path)
    missing: list[str] = []
    suites: tuple[SuiteVerdict, ...] = ()
    curves: dict[str, np.ndarray] = {}
    try:
        suites = _read_suites(path)
    except InputError as error:
        missing.append(str(error))
    try:
        curves = _read_curves(path / "metrics.csv")
    except InputError as error:
        missing.append(str(error))
    return JudgedRun(run.path, run.info, run.config, curves, missing, suites)


def _read_suites(path: Path) -> tuple[SuiteVerdict, ...]:
    try:
        suites = TypeAdapter(tuple[SuiteVerdict, ...]).validate_python(read_verdicts(path))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        location = ".".join(str(part) for part in first["loc"])
        raise InputError(
            f"verdict.json is damaged at suites.{location} ({first['msg']}): judge the run again"
        ) from error
    if sum(len(suite.criteria) for suite in suites) > MAX_CRITERIA:
        raise InputError(f"verdict.json has more than {MAX_CRITERIA} criteria, so it is not a verdict of ours")
    return suites


def _read_curves(file: Path) -> dict[str, np.ndarray]:
    columns = read_table(file)
    if "env_steps" not in columns or not np.isfinite(columns["env_steps"]).any():
        raise InputError(f"{file.name} has no row with env_steps, so there are no learning curves")
    return columns
