"""CSV tables of numbers from anyone: read with limits, and fast even where they are long."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from rl_eval.errors import InputError
from rl_eval.run._files import refuse_link

MAX_TABLE_BYTES = 256 << 20
MAX_COLUMNS = 200
MAX_NAME_LENGTH = 200


def read_table(file: Path, skip_lines: int = 0) -> dict[str, np.ndarray]:
    """A CSV file with a header as column -> float64 `[rows]`; a cell that is not a finite number is NaN.

    Args:
        skip_lines: lines before the header.

    Raises:
        InputError: the file is missing, a link, too large, too wide, or not a table.
    """
    import polars

    header = _header(file, skip_lines)
    try:
        table = polars.read_csv(
            file,
            has_header=False,
            skip_rows=1 + skip_lines,
            new_columns=header,
            infer_schema=False,
            truncate_ragged_lines=True,
            ignore_errors=True,
            encoding="utf8-lossy",
            glob=False,
        )
        table = table.with_columns(polars.all().str.strip_chars().cast(polars.Float64, strict=False))
    except polars.exceptions.NoDataError:
        return {name: np.zeros(0) for name in header}
    except (polars.exceptions.PolarsError, ValueError, OSError) as error:
        raise InputError(f"{file} cannot be read as a table ({' '.join(str(error).split())[:200]})") from error
    columns = {name: table[name].fill_null(float("nan")).to_numpy() for name in table.columns}
    return {name: np.where(np.isfinite(values), values, np.nan) for name, values in columns.items()}


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
        first = opened.readline(1 << 20).decode("utf-8", "replace")
    try:
        header = [name.strip() for name in next(csv.reader([first.rstrip("\r\n")]), [])]
    except csv.Error as error:
        raise InputError(f"{file} cannot be read as a table ({error})") from error
    if len(header) > MAX_COLUMNS or any(len(name) > MAX_NAME_LENGTH for name in header):
        raise InputError(f"{file} has more than {MAX_COLUMNS} columns, or names too long: it is not a table of metrics")
    if not header or len(set(header)) < len(header):
        raise InputError(f"{file} has no header, or a column twice: it is not a table of metrics")
    return header
