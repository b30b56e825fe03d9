"""Read flows without labels a bounded number at a time: CSV from a file or a stream, Parquet from a file."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
import polars as pl

from rl_eval.domains.threat.table_files import MAX_COLUMNS, Sheet
from rl_eval.errors import InputError

CHUNK_ROWS = 4096
MAX_RECORD_BYTES = 1 << 20  # of one row
MAX_CHUNK_BYTES = 32 << 20
_PARQUET = b"PAR1"


def read_chunks(
    source: Path | BinaryIO, columns: Sequence[str], headerless: Mapping[int, Sequence[str]]
) -> Iterator[Sheet]:
    """The named columns of a file, or of a stream of CSV.

    Args:
        headerless: the column names of each width that a row may have in a format without a header.

    Raises:
        InputError: a missing file or column, a row of another width, or text that is not CSV.
    """
    if not isinstance(source, Path):
        yield from _csv_chunks(source, Path("stdin"), columns, headerless)
        return
    try:
        with source.open("rb") as file:
            if source.suffix.lower() in {".parquet", ".pq"}:
                yield from _parquet_chunks(source, columns)
            else:
                yield from _csv_chunks(file, source, columns, headerless)
    except OSError as error:
        raise InputError(f"{source} cannot be read ({error.strerror}): name a CSV or Parquet file, or -") from error


def _csv_chunks(
    stream: BinaryIO, path: Path, columns: Sequence[str], headerless: Mapping[int, Sequence[str]]
) -> Iterator[Sheet]:
    records = _records(stream, path)
    first = next(records, None)
    if first is None:
        raise InputError(f"{path} is empty: give rows to score, below a line with the names of their columns")
    names = [cell.strip() for cell in first[1]]
    has_header = not headerless or set(columns) <= set(names)
    if not has_header:
        if len(names) not in headerless:
            widths = " or ".join(str(width) for width in sorted(headerless))
            raise InputError(f"{path}, line 1: {len(names)} columns where {widths} are expected: fix the row")
        names = list(headerless[len(names)])
    index = _positions(path, names, columns)
    rows: list[list[str]] = []
    lines: list[int] = []
    size = 0
    for line, cells, length in records if has_header else _with_first(first, records):
        if len(cells) != len(names):
            raise InputError(
                f"{path}, line {line}: {len(cells)} column{'s' * (len(cells) != 1)} where {len(names)} are expected: "
                "fix or remove the row"
            )
        rows.append([cells[i] for i in index])
        lines.append(line)
        size += length
        if len(rows) == CHUNK_ROWS or size > MAX_CHUNK_BYTES:
            yield _sheet(path, columns, rows, lines)
            rows, lines, size = [], [], 0
    if rows:
        yield _sheet(path, columns, rows, lines)


def _with_first(
    first: tuple[int, list[str], int], rest: Iterator[tuple[int, list[str], int]]
) -> Iterator[tuple[int, list[str], int]]:
    yield first
    yield from rest


def _records(stream: BinaryIO, path: Path) -> Iterator[tuple[int, list[str], int]]:
    """The first line, the cells and the bytes of each record; blank lines are left out."""
    line, size = 1, 0  # of the record that is being read

    def texts() -> Iterator[str]:
        nonlocal size
        number = 0
        while read := stream.readline(MAX_RECORD_BYTES + 1):
            number += 1
            size += len(read)
            if size > MAX_RECORD_BYTES:
                raise InputError(f"{path}, line {line}: a row of more than {MAX_RECORD_BYTES >> 10} KiB: shorten it")
            if number == 1 and read.startswith(_PARQUET):
                raise InputError(f"{path} is Parquet, which is read from a file named *.parquet alone: name the file")
            try:
                text = read.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError:
                text = "\0"
            if "\0" in text:
                raise InputError(f"{path}, line {number}: not UTF-8 text: give comma-separated text")
            yield text

    reader = csv.reader(texts(), strict=True)
    try:
        for cells in reader:
            if cells:
                yield line, cells, size
            line, size = reader.line_num + 1, 0
    except csv.Error as error:
        raise InputError(
            f"{path}, line {line}: not CSV ({error}): quote whole cells and double the quotes inside them"
        ) from error


def _sheet(path: Path, columns: Sequence[str], rows: list[list[str]], lines: list[int]) -> Sheet:
    cells = zip(*rows, strict=True)
    frame = pl.DataFrame([pl.Series(name, values, pl.String) for name, values in zip(columns, cells, strict=True)])
    return Sheet(path, frame, np.array(lines), "line")


def _parquet_chunks(path: Path, columns: Sequence[str]) -> Iterator[Sheet]:
    try:
        lazy = pl.scan_parquet(path, glob=False)
        schema = lazy.collect_schema()
        rows = int(lazy.select(pl.len()).collect().item())
        _positions(path, schema.names(), columns)
        plain = lazy.select([_plain(path, name, schema[name]) for name in columns])
        for start in range(0, rows, CHUNK_ROWS):
            frame = plain.slice(start, CHUNK_ROWS).collect()
            yield Sheet(path, frame, np.arange(start + 1, start + len(frame) + 1), "row")
    except pl.exceptions.PolarsError as error:
        reason = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
        raise InputError(f"{path} cannot be read as Parquet: {reason}") from error


def _plain(path: Path, name: str, dtype: pl.DataType) -> pl.Expr:
    """A column as numbers or text.

    Raises:
        InputError: its cells are lists, records or bytes.
    """
    if dtype.is_numeric() or dtype in (pl.Boolean, pl.String):
        return pl.col(name)
    if dtype.is_nested() or dtype in (pl.Binary, pl.Object):
        raise InputError(f"{path}: the column {name!r} holds {dtype} where numbers or texts are needed: flatten it")
    return pl.col(name).cast(pl.String)


def _positions(path: Path, names: Sequence[str], columns: Sequence[str]) -> list[int]:
    """Where the columns are among the names.

    Raises:
        InputError: some are not there, a name stands twice, or there are too many.
    """
    if len(names) > MAX_COLUMNS:
        raise InputError(f"{path} has {len(names)} columns; at most {MAX_COLUMNS} are read: leave some out")
    if missing := [name for name in columns if name not in names]:
        has = ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")
        raise InputError(
            f"{path} lacks the column{'s' * (len(missing) > 1)} {', '.join(missing)} that the run or --keep needs: "
            f"it has {has}"
        )
    if twice := [name for name in columns if list(names).count(name) > 1]:
        raise InputError(f"{path} has the column {twice[0]!r} twice: every column needs its own name")
    return [list(names).index(name) for name in columns]
