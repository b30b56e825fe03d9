"""`RunRecord`: everything in a run directory except its policies, read with limits."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from rl_eval.errors import InputError
from rl_eval.run._checkpoint import read_checkpoint
from rl_eval.run._directory import Run, read_run
from rl_eval.run._files import read_json, refuse_link
from rl_eval.run._recorded_files import read_preprocessing
from rl_eval.run._table import read_table


@dataclass(frozen=True)
class RunRecord(Run):
    """A run with its curves, verdicts and other files, or only the curves of another program.

    What is missing is None or empty.

    Attributes:
        path: the run directory, or the file that was read.
        curves: the columns of `metrics.csv`, each `[rows]`.
        missing: one sentence for each thing that could not be read; more are added as further files are read.
    """

    info: dict[str, Any] = field(default_factory=dict, repr=False)
    config: dict[str, Any] = field(default_factory=dict, repr=False)
    curves: Mapping[str, np.ndarray] = field(default_factory=dict, repr=False)
    missing: list[str] = field(default_factory=list, repr=False)

    @property
    def seed(self) -> int:
        """The seed of the run; 0 if its config has none."""
        seed = self.config.get("seed")
        return seed if isinstance(seed, int) and 0 <= seed < 1 << 63 else 0

    def setting(self, key: str) -> Any:
        """A config value by its dotted key, such as `agent.gamma`; None if there is none."""
        value: Any = self.config
        for part in key.split("."):
            if not isinstance(value, Mapping) or part not in value:
                return None
            value = value[part]
        return value

    def number(self, key: str) -> float | None:
        """A config value by its dotted key, if it is a finite number."""
        return finite(self.setting(key))

    def curve(self, name: str) -> np.ndarray:
        """The finite values of a column, in order; empty if there are none."""
        values = self.curves.get(name)
        return np.zeros(0) if values is None else values[np.isfinite(values)]

    def late(self, name: str, share: float = 0.25) -> np.ndarray:
        """The finite values of a column in the last `share` of the rows, at least one row."""
        values = self.curves.get(name)
        if values is None or not len(values):
            return np.zeros(0)
        last = values[-max(1, round(len(values) * share)) :]
        return last[np.isfinite(last)]

    @cached_property
    def preprocessing(self) -> Mapping[str, Any]:
        """`preprocessing.json`; empty if there is none, or if it cannot be read."""
        try:
            return read_preprocessing(self) or {}
        except InputError as error:
            self.missing.append(str(error))
            return {}

    @cached_property
    def verdicts(self) -> list[dict[str, Any]]:
        """The suites of `verdict.json`; empty if the run was not judged, or if the file cannot be read."""
        file = self.path / "verdict.json"
        try:
            return read_verdicts(self.path) if file.is_symlink() or file.is_file() else []
        except InputError as error:
            self.missing.append(str(error))
            return []

    @cached_property
    def snapshot(self) -> tuple[dict[str, np.ndarray], dict[str, Any]] | None:
        """The arrays and the metadata of the judged policy; None if there is none, or if it cannot be read."""
        if not (self.path / "snapshots").is_dir():
            return None
        try:
            return read_checkpoint(self.judged_snapshot(), "policy")
        except InputError as error:
            self.missing.append(str(error))
            return None


def read_record(path: Path | str) -> RunRecord:
    """Read a run directory.

    Raises:
        InputError: it is not a run, or one of its files is damaged, a link, or too large.
    """
    run = read_run(path)
    file = run.path / "metrics.csv"
    if file.is_symlink() or file.exists():
        return RunRecord(run.path, run.info, run.config, read_table(file))
    return RunRecord(run.path, run.info, run.config, missing=[f"{file} does not exist, so there are no curves"])


def read_verdicts(directory: Path) -> list[dict[str, Any]]:
    """The suites in the `verdict.json` of a run, each with a list `criteria` of mappings; the rest is not checked.

    Args:
        directory: of the run, or a verdict file.

    Raises:
        InputError: the file is missing, a link, damaged, or not a verdict.
    """
    file = directory / "verdict.json" if directory.is_dir() else directory
    refuse_link(file)
    if not file.is_file():
        raise InputError(f"{file} does not exist: the run has not been judged")
    suites = read_json(file).get("suites")
    if not isinstance(suites, list) or not all(map(_is_suite, suites)):
        raise InputError(f"{file} is damaged, or from another program: judge the run again")
    return suites


def validation_metric(run: Run) -> str | None:
    """The metric that chose the judged snapshot; None if the config names none."""
    validation = run.config.get("validation")
    metric = validation.get("metric") if isinstance(validation, Mapping) else None
    return metric if isinstance(metric, str) else None


def validation_score(run: Run) -> float | None:
    """The validation metric of the judged snapshot, from the final results on the validation part.

    A run that is shorter than `validation.every` has it too. None for a run that did not finish.
    """
    results = run.info.get("results")
    return finite(results.get(validation_metric(run))) if isinstance(results, Mapping) else None


def _is_suite(values: Any) -> bool:
    criteria = values.get("criteria") if isinstance(values, Mapping) else None
    return isinstance(criteria, list) and all(isinstance(row, Mapping) for row in criteria)


def finite(value: Any) -> float | None:
    """A number as float; None for anything else, NaN and infinities included."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) < 1e300 and math.isfinite(value) else None
