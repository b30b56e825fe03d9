"""CSV tables of numbers from anyone: read with limits, and fast even where they are long."""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path

import numpy as np

from rl_eval.errors import InputError
from rl_eval.run._files import refuse_link

MAX_TABLE_BYTES = 256 << 20
MAX_COLUMNS = 200
MAX_NAME_LENGTH = 200
MAX_LINE_BYTES = 1 << 20
MAX_CELLS = 32 << 20


def read_table(file: Path, skip_lines: int = 0) -> dict[str, np.ndarray]:
    """A CSV file with a header as column -> float64 `[rows]`; a cell that is not a finite number is NaN.

    Args:
        skip_lines: lines before the header.

    Raises:
        InputError: the file is missing, a link, too large, too wide, or not a table.
    """
    header = _header(file, skip_lines)
    try:
        content = file.read_bytes()
    except OSError as error:
        raise InputError(f"{file} cannot be read as a table ({error.strerror or error})") from error
    body = content.split(b"\n", skip_lines + 1)[skip_lines + 1 :]
    table = _table(body[0].replace(b"\r\n", b"\n") if body else b"", len(header), file)
    table[~np.isfinite(table)] = np.nan
    return {name: np.ascontiguousarray(column) for name, column in zip(header, table.T, strict=True)}


def _table(body: bytes, columns: int, file: Path) -> np.ndarray:
    """The rows of a table as float64 `[R, columns]`."""
    if (body.count(b"\n") + 1) * columns > MAX_CELLS:
        raise InputError(f"{file} has more than {MAX_CELLS:,} cells, so it is not read: log less often")
    end = body.rfind(b"\n") + 1
    complete = _regular_numbers(body[:end], columns)
    if complete is None:
        return _numbers(body, columns, file)
    # A crash may have cut the last row short.
    return np.concatenate([complete, _numbers(body[end:], columns, file)])


def _regular_numbers(body: bytes, columns: int) -> np.ndarray | None:
    """The rows where each ends with a line break, is complete, and holds numbers or empty cells; else None. Fast."""
    if not body or body.startswith(b"\n") or b"\n\n" in body or b'"' in body or not body.isascii():
        return None
    if b",," in body or b"\n," in body or b",\n" in body or body.startswith(b","):
        body = b"\n" + body
        for _ in range(2):  # two empty cells share a comma
            body = body.replace(b",,", b",nan,")
        body = body.replace(b"\n,", b"\nnan,").replace(b",\n", b",nan\n")[1:]
    try:
        table = np.loadtxt(io.BytesIO(body), np.float64, delimiter=",", comments=None, ndmin=2)
    except ValueError:
        return None
    return table if table.shape[1] == columns else None


def _numbers(body: bytes, columns: int, file: Path) -> np.ndarray:
    """The rows of any text, one per line. Cells that are missing or not numbers are NaN; cells beyond are left out."""
    lines = body.decode("utf-8", "replace").removesuffix("\n").split("\n") if body else []
    if any(len(line) > MAX_LINE_BYTES for line in lines):
        raise InputError(f"{file} has a line of more than {MAX_LINE_BYTES >> 20} MiB: it is not a table of metrics")
    table = np.full((len(lines), columns), np.nan)
    try:
        for index, line in enumerate(lines):
            row = [_number(cell) for cell in next(csv.reader([line]), [])[:columns]]
            table[index, : len(row)] = row
    except csv.Error as error:
        raise InputError(f"{file} cannot be read as a table ({error})") from error
    return table


def _number(cell: str) -> float:
    try:
        return float(cell) if cell.isascii() and "_" not in cell else math.nan
    except ValueError:
        return math.nan


def _header(file: Path, skip_lines: int) -> list[str]:
    refuse_link(file)
    if not file.is_file():
        raise InputError(f"{file} does not exist")
    if file.stat().st_size > MAX_TABLE_BYTES:
        raise InputError(
            f"{file} is larger than {MAX_TABLE_BYTES >> 20} MiB, so it is not read: "
            "log less often, with a larger log_every"
        )
    with open(file, "rb") as opened:
        for _ in range(skip_lines):
            opened.readline(MAX_TABLE_BYTES)
        first = opened.readline(MAX_LINE_BYTES).decode("utf-8", "replace")
    try:
        header = [name.strip() for name in next(csv.reader([first.rstrip("\r\n")]), [])]
    except csv.Error as error:
        raise InputError(f"{file} cannot be read as a table ({error})") from error
    if len(header) > MAX_COLUMNS or any(len(name) > MAX_NAME_LENGTH for name in header):
        raise InputError(f"{file} has more than {MAX_COLUMNS} columns, or names too long: it is not a table of metrics")
    if not any(header):
        fault = "has no header" if file.stat().st_size else "is empty"
        raise InputError(f"{file} {fault}: name a table of metrics, such as a metrics.csv")
    if len(set(header)) < len(header):
        twice = next(name for name in header if header.count(name) > 1)
        raise InputError(f"{file} has a column twice, {twice!r}: it is not a table of metrics")
    return header
