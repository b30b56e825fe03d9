"""The table of runs at the end of a sweep."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.measure import Measurement

from rl_eval.cost import money_text, recorded_cost
from rl_eval.dotted_keys import differing_keys, flatten
from rl_eval.formatting import number
from rl_eval.run import Run, validation_score
from rl_eval.terminal._console import cell, new_table

_UNFINISHED = "bold yellow"
STATUS_STYLES = {
    "finished": "",
    "failed": "bold red",
    "interrupted": _UNFINISHED,
    "over_budget": _UNFINISHED,
    "running": _UNFINISHED,
}
# Columns that a narrow terminal leaves out, in this order.
OPTIONAL_COLUMNS = ("cost", "steps/s", "wall_s", "env_steps", "std", "mean")


def sweep_table(
    runs: Sequence[Run],
    verdicts: Mapping[Path, Sequence[Mapping[str, Any]]] | None = None,
    *,
    best: Path | None = None,
    metric: str = "",
) -> RenderableType:
    """One row per run, by job number: settings that were varied, results, cost, criteria that pass, and status.

    Args:
        runs: of one sweep, failed ones included.
        verdicts: run directory -> its verdict rows, as `criteria_table` takes them.
        best: the directory of the run that is the best on validation.
        metric: what it is the best by.
    """
    return _SweepTable(sorted(runs, key=_job_order), dict(verdicts or {}), best, metric)


def _job_order(run: Run) -> tuple[float, str]:
    job = re.match(r"\d+", run.path.name)
    return (int(job.group()) if job else math.inf, run.path.name)


@dataclass(frozen=True)
class _Column:
    name: str
    values: list[str]
    is_setting: bool = False  # a config key that was varied


class _SweepTable:
    """Built when it is printed, since the columns depend on the width of the stream."""

    def __init__(
        self, runs: Sequence[Run], verdicts: Mapping[Path, Sequence[Mapping[str, Any]]], best: Path | None, metric: str
    ):
        self._jobs = [str(job) if math.isfinite(job := _job_order(run)[0]) else run.path.name for run in runs]
        self._best = next((row for row, run in enumerate(runs) if run.path == best), None)
        self._metric = metric
        parts = {str(row.get("part") or "test") for rows in verdicts.values() for row in rows}
        self._judged_on = " and ".join(sorted(parts))
        costs = [recorded_cost(run).total for run in runs]
        flat = [flatten(run.config) for run in runs]
        varied_keys = differing_keys([run.config for run in runs])
        settings = {key: [_override_value(config.get(key)) for config in flat] for key in varied_keys}
        self._columns = [
            _Column("run", [run.path.name for run in runs]),
            *(_Column(key, values, is_setting=True) for key, values in settings.items()),
            _Column("env_steps", [number(run.info.get("env_steps")) for run in runs]),
            _Column("validation", [number(validation_score(run)) for run in runs]),
            _Column("mean", [number(_result(run, "mean")) for run in runs]),
            _Column("std", [number(_result(run, "std")) for run in runs]),
            _Column("wall_s", [_rounded(run.info.get("wall_s")) for run in runs]),
            _Column("steps/s", [_rounded(run.info.get("steps_per_s")) for run in runs]),
            *([_Column("cost", list(map(money_text, costs)))] if any(cost.money is not None for cost in costs) else []),
            _Column("criteria", [_passed(verdicts.get(run.path)) for run in runs]),
            _Column("status", [str(run.info.get("status")) for run in runs]),
        ]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        columns, left_out = list(self._columns), []
        if not self._fits(columns, console, options) and any(column.is_setting for column in columns):
            # The name of the directory repeats the settings; its job number is enough.
            columns[0] = _Column("run", self._jobs)
        for name in OPTIONAL_COLUMNS:
            if self._fits(columns, console, options):
                break
            kept = [column for column in columns if column.is_setting or column.name != name]
            left_out += [name] * (len(kept) < len(columns))
            columns = kept
        yield self._table(columns, options)
        if self._best is not None:
            yield cell(f"* the best on validation ({self._metric})", options)
        if self._judged_on:
            yield cell(f"criteria: judged on {self._judged_on}", options)
        if left_out:
            yield cell(f"not shown at this width: {', '.join(reversed(left_out))}", options, "dim")

    def _fits(self, columns: Sequence[_Column], console: Console, options: ConsoleOptions) -> bool:
        unlimited = options.update(max_width=10_000)
        return Measurement.get(console, unlimited, self._table(columns, unlimited)).maximum <= options.max_width

    def _table(self, columns: Sequence[_Column], options: ConsoleOptions) -> RenderableType:
        table = new_table()
        table.add_column("", no_wrap=True)
        for column in columns:
            text = column.is_setting or column.name == "run"
            table.add_column(
                cell(column.name, options),
                justify="left" if text or column.name == "status" else "right",
                no_wrap=not text,
                overflow="fold",
            )
        for row in range(len(self._jobs)):
            best = row == self._best
            cells = []
            for column in columns:
                status = STATUS_STYLES.get(column.values[row], "") if column.name == "status" else ""
                cells.append(cell(column.values[row], options, status))
            table.add_row("*" if best else "", *cells, style="bold" if best else "")
        return table


def _result(run: Run, name: str) -> float | None:
    results = run.info.get("results")
    value = results.get(name) if isinstance(results, Mapping) else None
    return value if isinstance(value, int | float) else None


def _passed(rows: Sequence[Mapping[str, Any]] | None) -> str:
    checked = [row for row in rows or () if row["decision"] != "NOT_CHECKED"]
    return "-" if not checked else f"{sum(row['decision'] == 'PASS' for row in checked)}/{len(checked)}"


def _rounded(value: object) -> str:
    if not isinstance(value, int | float) or not math.isfinite(value):
        return number(None)
    return number(round(value) if abs(value) >= 100 else round(value, 1))


def _override_value(value: object) -> str:
    """A config value as it is written in an override: `null`, `true`, `0.0003`."""
    if isinstance(value, str):
        return value
    return json.dumps(value, default=str) if value is None or isinstance(value, bool | list | dict) else str(value)
