"""The comparison at the end of a sweep."""

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

from rl_eval.formatting import number
from rl_eval.run import Run
from rl_eval.terminal._console import cell, new_table

STATUS_STYLES = {"finished": "", "failed": "bold red", "interrupted": "bold yellow", "running": "bold yellow"}
# What the comparison can do without, first to go first, when the terminal is narrow.
OPTIONAL = ("steps/s", "wall_s", "env_steps", "std")
# Where a run is written and what it is called says nothing about what was varied.
IGNORED = re.compile(r"^(name|resume|hydra(\..*)?|paths?(\..*)?|tracker(\..*)?|.*_dir|outputs?(_.*)?)$")


def differing_keys(configs: Sequence[Mapping[str, Any]]) -> list[str]:
    """The dotted keys whose values differ between configs, in the order of the configs.

    Left out: names and paths of the runs; a key that only repeats another of the same last name (`agent.lr`
    beside `lr`); and, where a group's `name` differs, the group's keys that follow from it (with
    `agent=ppo,a2c`, whatever is the same in every PPO run and the same in every A2C run).
    """
    from rl_eval.tracking import flatten  # pydantic's models, which a command that shows no sweep need not wait for

    flats = [{k: _comparable(v) for k, v in flatten(config).items()} for config in configs]
    columns = {key: tuple(flat.get(key) for flat in flats) for flat in flats for key in flat}
    varied = {k: column for k, column in columns.items() if len(set(column)) > 1 and not IGNORED.match(k)}
    kept: dict[str, tuple[str | None, ...]] = {}
    for key, column in sorted(varied.items(), key=lambda item: item[0].count(".")):
        repeats = any(column == other and _last(key) == _last(name) for name, other in kept.items())
        group_name = varied.get(f"{key.split('.')[0]}.name") if "." in key and not key.endswith(".name") else None
        follows = group_name is not None and len(set(zip(group_name, column, strict=True))) == len(set(group_name))
        if not repeats and not follows:
            kept[key] = column
    return [key for key in columns if key in kept]


def _comparable(value: Any) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return repr(float(value))  # 1 and 1.0 are one value, and NaN equals itself
    return json.dumps(value, sort_keys=True, default=str)


def _last(key: str) -> str:
    return key.rsplit(".", 1)[-1]


def sweep_table(
    runs: Sequence[Run], verdicts: Mapping[Path, Sequence[Mapping[str, Any]]] | None = None
) -> RenderableType:
    """One row a run, by job number: what was varied, what it reached, what it cost, what it passes.

    Args:
        runs: of one sweep; those that failed are shown as failed.
        verdicts: run directory -> its verdict rows, as `criteria_table` takes them.
    """
    return _Sweep(sorted(runs, key=_job), dict(verdicts or {}))


def _job(run: Run) -> tuple[float, str]:
    number_first = re.match(r"\d+", run.path.name)
    return (int(number_first.group()) if number_first else math.inf, run.path.name)


@dataclass(frozen=True)
class _Column:
    name: str
    values: list[str]
    setting: bool = False  # a config key that was varied


class _Sweep:
    """Knows the stream only when it is printed: columns depend on its width."""

    def __init__(self, runs: Sequence[Run], verdicts: Mapping[Path, Sequence[Mapping[str, Any]]]):
        from rl_eval.tracking import flatten

        self._jobs = [str(job) if math.isfinite(job := _job(run)[0]) else run.path.name for run in runs]
        self._best = _best(runs)
        flat = [flatten(run.config) for run in runs]
        varied = differing_keys([run.config for run in runs])
        self._columns = [
            _Column("run", [run.path.name for run in runs]),
            *(_Column(key, [_setting(config.get(key)) for config in flat], setting=True) for key in varied),
            _Column("env_steps", [number(run.info.get("env_steps")) for run in runs]),
            _Column("mean", [number(_result(run, "mean")) for run in runs]),
            _Column("std", [number(_result(run, "std")) for run in runs]),
            _Column("wall_s", [_rounded(run.info.get("wall_s")) for run in runs]),
            _Column("steps/s", [_rounded(run.info.get("steps_per_s")) for run in runs]),
            _Column("criteria", [_passed(verdicts.get(run.path)) for run in runs]),
            _Column("status", [str(run.info.get("status")) for run in runs]),
        ]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        columns, left_out = list(self._columns), []
        if not self._fits(columns, console, options) and any(column.setting for column in columns):
            # The settings beside it say what the rest of the directory's name repeats.
            columns[0] = _Column("run", self._jobs)
        for name in OPTIONAL:
            if self._fits(columns, console, options):
                break
            columns = [column for column in columns if column.setting or column.name != name]
            left_out.append(name)
        yield self._table(columns, options)
        if self._best is not None:
            yield cell("* the highest mean", options)
        if left_out:
            yield cell(f"not shown at this width: {', '.join(reversed(left_out))}", options, "dim")

    def _fits(self, columns: Sequence[_Column], console: Console, options: ConsoleOptions) -> bool:
        wide = options.update(max_width=10_000)
        return Measurement.get(console, wide, self._table(columns, wide)).maximum <= options.max_width

    def _table(self, columns: Sequence[_Column], options: ConsoleOptions) -> RenderableType:
        table = new_table()
        table.add_column("", no_wrap=True)
        for column in columns:
            words = column.setting or column.name == "run"
            table.add_column(
                cell(column.name, options),
                justify="left" if words or column.name == "status" else "right",
                no_wrap=not words,
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


def _best(runs: Sequence[Run]) -> int | None:
    """The row of the highest finite mean among finished runs."""
    means = [_result(run, "mean") if run.finished else None for run in runs]
    finite = [(mean, -row) for row, mean in enumerate(means) if mean is not None and math.isfinite(mean)]
    return -max(finite)[1] if finite else None


def _passed(rows: Sequence[Mapping[str, Any]] | None) -> str:
    return "-" if not rows else f"{sum(row['decision'] == 'PASS' for row in rows)}/{len(rows)}"


def _rounded(value: object) -> str:
    if not isinstance(value, int | float) or not math.isfinite(value):
        return number(None)
    return number(round(value) if abs(value) >= 100 else round(value, 1))


def _setting(value: object) -> str:
    """A config value as it is typed: `null`, `true`, `0.0003`."""
    if isinstance(value, str):
        return value
    return json.dumps(value, default=str) if value is None or isinstance(value, bool | list | dict) else str(value)
