"""Read tables from CSV and Parquet files strictly; every error names the file and the line."""

from __future__ import annotations

import csv
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl

from rl_eval.errors import InputError, nearest

MAX_BYTES = 1 << 30
MAX_ROWS = 5_000_000
MAX_COLUMNS = 500


@dataclass(frozen=True)
class Sheet:
    """The cells of a file, all text (CSV) or typed (Parquet), and the line of each row.

    Attributes:
        lines: `[R]` line (CSV) or row (Parquet) of the file, from 1.
        unit: `line` or `row`.
    """

    path: Path
    frame: pl.DataFrame = field(repr=False)
    lines: np.ndarray = field(repr=False)
    unit: str

    def at(self, row: int) -> str:
        """`flows.csv, line 7`."""
        return f"{self.path}, {self.unit} {int(self.lines[row])}"

    def column(self, name: str, key: str) -> pl.Series:
        """One column, named by a config key.

        Raises:
            InputError: no such column.
        """
        if name not in self.frame.columns:
            raise InputError(
                f"{self.path} has no column {name!r}: {nearest(name, self.frame.columns)}it has "
                f"{_some(self.frame.columns)}; set {key}"
            )
        return self.frame[name]

    def numbers(self, name: str) -> np.ndarray:
        """One column as finite float64 `[R]`.

        Raises:
            InputError: a cell that is empty, not a number, or not finite.
        """
        series = self.frame[name]
        numbers = series.str.strip_chars().cast(pl.Float64, strict=False) if series.dtype == pl.String else series
        values = numbers.cast(pl.Float64).fill_null(np.nan).to_numpy()
        bad = np.flatnonzero(~np.isfinite(values))
        if len(bad):
            cell = series[int(bad[0])]
            problem = "is empty" if cell is None or str(cell).strip() == "" else f"holds {_short(cell)}"
            raise InputError(
                f"{self.at(bad[0])}: the column {name!r} {problem} where a finite number is needed "
                f"({len(bad)} such cell{'s' * (len(bad) > 1)}): fill or remove the row{'s' * (len(bad) > 1)}"
            )
        return values

    def times(self, name: str) -> np.ndarray:
        """One column of times, numbers or ISO 8601, as numbers that order them, `[R]`.

        Raises:
            InputError: a cell that is empty or not a time.
        """
        series = self.frame[name]
        if series.dtype == pl.String:
            texts = series.str.strip_chars()
            if texts.cast(pl.Float64, strict=False).is_not_null().sum() < len(texts):
                dates = texts.str.to_datetime(strict=False, time_unit="us", time_zone="UTC")
                iso = texts.str.contains(r"^\d{4}-\d\d-\d\d")  # 01/02/2026 may be January or February
                bad = np.flatnonzero((dates.is_null() | ~iso.fill_null(False)).to_numpy())
                if len(bad):
                    raise InputError(
                        f"{self.at(bad[0])}: the column {name!r} holds {_short(series[int(bad[0])])} where a number or "
                        f"a time such as 2026-01-31T09:30:00 is needed: fix or remove the row"
                    )
                return dates.dt.epoch("us").to_numpy()
        elif series.dtype.is_temporal() and series.null_count() == 0:
            return series.to_physical().to_numpy()
        return self.numbers(name)

    def levels(self, name: str) -> tuple[tuple[str, ...], np.ndarray]:
        """One column as its distinct texts, sorted, and each row's index into them, int32 `[R]`."""
        text = self.text(name)
        levels = text.unique().sort()
        codes = text.replace_strict(levels, pl.Series(range(len(levels)), dtype=pl.Int32), return_dtype=pl.Int32)
        return tuple(levels.to_list()), codes.to_numpy()

    def text(self, name: str) -> pl.Series:
        """One column as text without surrounding blanks; an empty cell is an empty text."""
        return self.frame[name].cast(pl.String).fill_null("").str.strip_chars()


def existing_file(path: Path, key: str = "env.path") -> Path:
    """The path, if it is a file.

    Raises:
        InputError: a missing file, or a folder.
    """
    if path.is_file():
        return path
    what = "is a folder, and a file is needed" if path.is_dir() else "does not exist"
    raise InputError(f"{path} {what}: set {key} to a file that does")


def read_parquet(path: Path) -> Sheet:
    """A Parquet file.

    Raises:
        InputError: not Parquet, no rows, or past the size limits.
    """
    _check_size(path)
    try:
        frame = pl.read_parquet(path)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise InputError(f"{path} cannot be read as Parquet: {_short(error, 120)}") from error
    _check_shape(path, len(frame), frame.width)
    return Sheet(path, frame, np.arange(1, len(frame) + 1), "row")


def read_csv(path: Path, *, names: dict[int, list[str]] | None = None) -> Sheet:
    """A comma-separated text file, with or without a byte-order mark, ending its lines in LF, CRLF or CR.

    Args:
        names: for a file without a header, the column names for each allowed width.

    Raises:
        InputError: not text, empty, a row of another width, or above the size limits.
    """
    _check_size(path)
    data = path.read_bytes().removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").rstrip(b"\n \t\r")
    if b"\n" not in data:  # lines end in CR, as on old Macs; else a CR is part of a cell
        data = data.replace(b"\r", b"\n")
    data += b"\n"
    if data == b"\n":
        raise InputError(f"{path} is empty: give a file with flows in it")
    _check_text(path, data)
    line_numbers, widths = _lines_and_widths(data)
    if names is None:
        columns = _header(path, data[: data.index(b"\n")].decode())
        _check_header(path, columns)
        allowed, first = {len(columns)}, 1
    else:
        allowed, first = set(names), 0
        if widths[0] in names:
            allowed = {int(widths[0])}  # all rows alike
        columns = names.get(int(widths[0]), [])
    wrong = np.flatnonzero(~np.isin(widths, list(allowed)))
    if len(wrong):
        line, width = int(line_numbers[wrong[0]]), int(widths[wrong[0]])
        expected = " or ".join(map(str, sorted(allowed)))
        raise InputError(
            f"{path}, line {line}: {width} column{'s' * (width != 1)} where {expected} are expected: "
            "fix or remove the row"
        )
    _check_shape(path, len(line_numbers) - first, len(columns))
    try:
        frame = pl.read_csv(
            data, has_header=False, skip_rows=first, new_columns=columns, infer_schema=False,
            quote_char='"' if b'"' in data else None,
        )  # fmt: skip
    except pl.exceptions.PolarsError as error:
        raise InputError(f"{path} cannot be read as CSV: {_short(error, 120)}") from error
    if len(frame) != len(line_numbers) - first:
        raise InputError(f"{path} has quotes that do not pair up: quote whole cells and double the quotes inside them")
    return Sheet(path, frame, line_numbers[first:], "line")


def _lines_and_widths(data: bytes) -> tuple[np.ndarray, np.ndarray]:
    """First line (from 1) and number of columns of each record; commas inside quotes do not count."""
    octets = np.frombuffer(data, np.uint8)
    newline, comma = octets == ord("\n"), octets == ord(",")
    ends = np.flatnonzero(newline)
    if b'"' in data:
        quoted = np.bitwise_xor.accumulate((octets == ord('"')).view(np.uint8)).view(bool)
        comma &= ~quoted
        record_ends = np.flatnonzero(newline & ~quoted)
        if not len(record_ends) or record_ends[-1] != len(data) - 1:
            record_ends = np.append(record_ends, len(data) - 1)  # an unclosed quote
    else:
        record_ends = ends
    starts = np.concatenate([[0], record_ends[:-1] + 1])
    widths = np.add.reduceat(comma.view(np.uint8), starts, dtype=np.int64) + 1
    return np.searchsorted(ends, starts) + 1, widths


def _check_size(path: Path) -> None:
    size = path.stat().st_size
    if size == 0:
        raise InputError(f"{path} is empty: give a file with flows in it")
    if size > MAX_BYTES:
        limit = MAX_BYTES >> 30
        raise InputError(f"{path} has {size / 2**30:.1f} GiB and at most {limit} is read: give a sample of it")


def _check_text(path: Path, data: bytes) -> None:
    nul = data.find(b"\0")
    try:
        data.decode("utf-8")
        position = nul
    except UnicodeDecodeError as error:
        position = error.start if nul < 0 else min(nul, error.start)
    if position >= 0:
        line = data.count(b"\n", 0, position) + 1
        raise InputError(f"{path}, line {line}: not UTF-8 text: give a comma-separated text file or a .parquet file")


def _header(path: Path, line: str) -> list[str]:
    try:
        return [name.strip() for name in next(csv.reader([line]))]
    except csv.Error as error:  # a CR outside quotes, or a name of more than 128 KiB
        raise InputError(
            f"{path}, line 1: the header cannot be read ({error}): give comma-separated names on one line"
        ) from error


def _check_header(path: Path, columns: list[str]) -> None:
    if len(columns) < 2:
        raise InputError(f"{path}, line 1: only one column: a header of comma-separated names is expected")
    for name in columns:
        if not name or columns.count(name) > 1:
            what = f"the column {name!r} twice" if name else "a column without a name"
            raise InputError(f"{path}, line 1: {what}: every column needs its own name")


def _check_shape(path: Path, rows: int, columns: int) -> None:
    if rows < 1:
        raise InputError(f"{path} has a header and no rows: give a file with flows in it")
    if rows > MAX_ROWS or columns > MAX_COLUMNS:
        raise InputError(
            f"{path} has {rows} rows and {columns} columns; at most {MAX_ROWS} and {MAX_COLUMNS} are read: "
            "give a sample of it"
        )


def _short(value: object, length: int = 40) -> str:
    text = str(value).splitlines()[0] if str(value) else ""
    return repr(text if len(text) <= length else text[: length - 1] + "…")


def _some(names: list[str], most: int = 12) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
