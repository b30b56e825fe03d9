"""`JudgedRun`: the content of a run directory that a page shows; damaged files become notes."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rl_eval.errors import InputError
from rl_eval.gates.verdict import SuiteVerdict
from rl_eval.gates.verdict_file import read_suite_verdicts
from rl_eval.run import RunRecord, read_run, read_table


@dataclass(frozen=True)
class JudgedRun(RunRecord):
    """A run record with the verdicts on it.

    Attributes:
        suites: the checked contents of `verdict.json`.
        damaged_verdict: whether there is a `verdict.json` that cannot be read.
    """

    suites: tuple[SuiteVerdict, ...] = ()
    damaged_verdict: bool = False


def read_judged_run(path: Path) -> JudgedRun:
    """Read a run directory. Damaged verdicts or metrics become sentences in `missing`.

    Raises:
        InputError: it is not a run directory, or `run.json` or `config.yaml` cannot be read.
    """
    run = read_run(path)
    missing: list[str] = []
    suites: tuple[SuiteVerdict, ...] = ()
    damaged_verdict = False
    curves: dict[str, np.ndarray] = {}
    try:
        suites = read_suite_verdicts(path)
    except InputError as error:
        missing.append(str(error))
        damaged_verdict = os.path.lexists(path / "verdict.json")
    try:
        curves = _read_curves(path / "metrics.csv")
    except InputError as error:
        missing.append(str(error))
    return JudgedRun(run.path, run.info, run.config, curves, missing, suites, damaged_verdict)


def _read_curves(file: Path) -> dict[str, np.ndarray]:
    columns = read_table(file)
    if "env_steps" not in columns or not np.isfinite(columns["env_steps"]).any():
        raise InputError(f"{file.name} has no row with env_steps, so there are no learning curves")
    return columns
