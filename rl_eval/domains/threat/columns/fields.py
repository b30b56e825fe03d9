"""The fields of flows from the columns of a sheet, as a `Reading` says."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import polars as pl

from rl_eval.domains.threat.columns.addresses import address_classes
from rl_eval.domains.threat.columns.numbers import parse_numbers, plain_numbers
from rl_eval.domains.threat.columns.times import (
    MISSING,
    day_comes_first,
    hour_and_weekday,
    is_ambiguous,
    parse_times,
    seconds_between,
)
from rl_eval.domains.threat.fitted_preprocessing import TypedColumn
from rl_eval.domains.threat.flow_table import Reading, Table
from rl_eval.domains.threat.formats.sheet import Sheet, short
from rl_eval.errors import InputError


def table_of(
    sheet: Sheet,
    reading: Reading,
    label: np.ndarray,
    category_names: tuple[str, ...],
    category: np.ndarray,
    *,
    missing_allowed: bool = False,
) -> Table:
    """The flows of a sheet.

    Args:
        label: `[R]` 0 or 1.
        category: `[R]` index into `category_names`.
        missing_allowed: whether numbers may be missing or infinite.

    Raises:
        InputError: a cell that cannot be read, with its line.
    """
    rows, typed = len(sheet), {column.column: column for column in reading.typed}
    numeric_names = [
        field
        for name in reading.columns
        for field in (typed[name].numbers if name in typed else (name,) if name in reading.numbers else ())
    ]
    numeric = np.empty((rows, len(numeric_names)))  # filled column by column, since large tables fit once
    levels, codes, filled = dict[str, tuple[str, ...]](), list[np.ndarray](), 0
    for name in reading.columns:
        _require_flat(sheet, name)
        numbers, categories = dict[str, np.ndarray](), dict[str, tuple[tuple[str, ...], np.ndarray]]()
        if name in typed:
            numbers, categories = _fields_of(sheet, typed[name], typed, missing_allowed)
        elif name in reading.numbers:
            numbers = {name: numbers_of(sheet, name, missing_allowed)}
        else:
            categories = {name: sheet.levels(name)}
        for values in numbers.values():
            numeric[:, filled] = values
            filled += 1
        for field, (field_levels, field_codes) in categories.items():
            levels[field] = field_levels
            codes.append(field_codes)
    return Table(
        numeric_names=tuple(numeric_names),
        numeric=numeric,
        categorical_names=tuple(levels),
        levels=tuple(levels.values()),
        codes=np.stack(codes, axis=1) if codes else np.zeros((rows, 0), np.int32),
        label=label,
        category_names=category_names,
        category=category.astype(np.int16),
        reading=reading,
    )


def _require_flat(sheet: Sheet, name: str) -> None:
    dtype = sheet.frame[name].dtype
    if dtype.is_nested() or dtype in (pl.Binary, pl.Object):
        raise InputError(
            f"{sheet.path}: the column {name!r} holds {dtype} where numbers or texts are needed: flatten it"
        )


def numbers_of(sheet: Sheet, name: str, missing_allowed: bool) -> np.ndarray:
    """One column as float64 `[R]`, NaN where a cell is missing.

    Raises:
        InputError: a cell is not a number; or is missing or infinite, where that is not allowed.
    """
    series = sheet.frame[name]
    if series.dtype == pl.Duration:
        series = series.dt.total_microseconds() / 1e6
    values, bad = parse_numbers(series, sheet.layout.decimal)
    absent = ~np.isfinite(values) & ~bad
    rows = np.flatnonzero(bad if missing_allowed else bad | absent)
    if len(rows):
        needed = "a number" if missing_allowed else "a finite number"
        advice = ", or set env.missing=median or env.missing=indicator" if absent[rows[0]] else ""
        raise _faulty(sheet, name, rows, needed, f"fill or remove the row{'s' * (len(rows) > 1)}{advice}")
    return values


def times_of(sheet: Sheet, name: str, day_first: bool | None, missing_allowed: bool) -> np.ndarray:
    """One column as microseconds since 1970, int64 `[R]`; `MISSING` where a cell is missing.

    Raises:
        InputError: a cell is not a time; or is missing, where that is not allowed.
    """
    series = sheet.frame[name]
    times = parse_times(series, day_first)
    if missing_allowed:
        return times
    rows = np.flatnonzero(times == MISSING)
    if len(rows):
        advice = "fix the row, name the column in env.ignore, or set env.missing=median or env.missing=indicator"
        raise _faulty(sheet, name, rows, "a time such as 2026-01-31T09:30:00", advice)
    return times


def order_of_time(sheet: Sheet, name: str) -> np.ndarray:
    """One column of times as numbers that order them, `[R]`: numbers as they are, other times in microseconds.

    Raises:
        InputError: a cell that is empty or not a time, or dates that may begin with the day or the month.
    """
    series = sheet.frame[name]
    if not series.dtype.is_temporal():
        if series.dtype != pl.String or plain_numbers(series, sheet.layout.decimal).null_count() == 0:
            return numbers_of(sheet, name, missing_allowed=False)
        if is_ambiguous(series):
            raise InputError(
                f"{sheet.path}: dates in the column {name!r} may begin with the day or with the month: write them as "
                "2026-01-31"
            )
    times = parse_times(series, day_comes_first(series) if series.dtype == pl.String else None)
    rows = np.flatnonzero(times == MISSING)
    if len(rows):
        raise _faulty(sheet, name, rows, "a number or a time such as 2026-01-31T09:30:00", "fix or remove the row")
    return times


def _faulty(sheet: Sheet, name: str, rows: np.ndarray, needed: str, advice: str) -> InputError:
    """The error of the first of the rows whose cell is not what is needed."""
    cell = sheet.frame[name][int(rows[0])]
    problem = "is empty" if cell is None or str(cell).strip() == "" else f"holds {short(cell)}"
    return InputError(
        f"{sheet.at(rows[0])}: the column {name!r} {problem} where {needed} is needed "
        f"({len(rows):,} such cell{'s' * (len(rows) > 1)}): {advice}"
    )


def _fields_of(
    sheet: Sheet, column: TypedColumn, typed: Mapping[str, TypedColumn], missing_allowed: bool
) -> tuple[dict[str, np.ndarray], dict[str, tuple[tuple[str, ...], np.ndarray]]]:
    """Numeric fields of a column `[R]`, and categorical ones with their levels and codes `[R]`."""
    name = column.column
    if column.kind == "address":
        classes, versions = address_classes(sheet.frame[name])
        levels, codes = np.unique(np.array(classes, str), return_inverse=True)
        return {f"{name}:version": versions}, {f"{name}:class": (tuple(levels.tolist()), codes.astype(np.int32))}
    times = times_of(sheet, name, column.day_first, missing_allowed)
    if column.kind == "time":
        fields = hour_and_weekday(times)
        return {f"{name}:{part}": values for part, values in fields.items() if f"{name}:{part}" in column.numbers}, {}
    assert column.since is not None
    since = times_of(sheet, column.since, typed[column.since].day_first, missing_allowed)
    return {f"{name}:elapsed": seconds_between(times, since)}, {}
