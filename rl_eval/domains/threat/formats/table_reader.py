"""Open a table of any format that is read, which its content tells."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol

import numpy as np
import polars as pl

from rl_eval.domains.threat.formats.byte_source import open_bytes
from rl_eval.domains.threat.formats.delimited import DelimitedReader
from rl_eval.domains.threat.formats.json_lines import JsonLinesReader, is_json
from rl_eval.domains.threat.formats.limits import MAX_BYTES, check_bytes, check_columns, check_rows
from rl_eval.domains.threat.formats.parquet import ParquetReader
from rl_eval.domains.threat.formats.sheet import Layout, Sheet
from rl_eval.domains.threat.formats.text_blocks import TextBlocks
from rl_eval.domains.threat.formats.zeek import ZeekReader, is_zeek
from rl_eval.errors import InputError


class TableReader(Protocol):
    """The rows of a table, read once, in blocks."""

    @property
    def columns(self) -> Sequence[str] | None:
        """The names of the columns; None where rows have names of their own."""

    @property
    def layout(self) -> Layout:
        """How the bytes were understood."""

    def sheets(self, columns: Sequence[str] | None) -> Iterator[Sheet]:
        """The rows in blocks, with the named columns, or with all."""


@contextmanager
def open_table(
    source: Path | BinaryIO,
    *,
    limit: int | None = None,
    headerless: Mapping[int, Sequence[str]] | None = None,
    needed: Sequence[str] = (),
) -> Iterator[TableReader]:
    """A reader of a file, or of a stream of text.

    Args:
        limit: bytes that are read at most, unpacked; None: any number.
        headerless: for a format without a header, the names of the columns for each width.
        needed: where rows of such a format may have a header all the same: the names that tell it.

    Raises:
        InputError: it cannot be read, is of no format that is read, is empty, or is larger than the limit.
    """
    if isinstance(source, Path) and source.is_file():
        check_bytes(source, source.stat().st_size, limit)
    with open_bytes(source, limit) as opened:
        if opened.is_parquet or (isinstance(source, Path) and source.suffix.lower() in {".parquet", ".pq"}):
            if not isinstance(source, Path):
                raise InputError(f"{opened.path} is Parquet, which is read only from a file: name the file")
            yield ParquetReader(source, limit)
            return
        text = TextBlocks(opened)
        blocks = iter(text)
        first = next(blocks, b"")
        if not first.strip():
            raise InputError(f"{opened.path} is empty: give a file with flows in it")
        if is_zeek(first):
            yield ZeekReader(text, first, blocks, opened.path, opened.packing)
        elif is_json(first) and not headerless:
            yield JsonLinesReader(text, first, blocks, opened.path, opened.packing)
        else:
            reader = DelimitedReader(text, first, blocks, opened.path, opened.packing, headerless or {}, needed)
            check_columns(opened.path, len(reader.columns))
            yield reader


def read_sheet(path: Path, *, headerless: Mapping[int, Sequence[str]] | None = None) -> Sheet:
    """All rows of a file that fits into memory.

    Raises:
        InputError: as `open_table`, no rows, or too many; rows without a single cell are left out.
    """
    with open_table(path, limit=MAX_BYTES, headerless=headerless) as reader:
        sheets, rows = [], 0
        for sheet in reader.sheets(None):
            sheets.append(sheet)
            rows += len(sheet)
            check_rows(path, rows)
        check_rows(path, rows)
        frame = pl.concat((sheet.frame for sheet in sheets), how="vertical" if reader.columns else "diagonal")
        lines = np.concatenate([sheet.lines for sheet in sheets])
        return _without_empty_rows(Sheet(path, reader.layout, frame, lines, sheets[0].unit))


def _without_empty_rows(sheet: Sheet) -> Sheet:
    """The rows with at least one cell, as spreadsheets append rows of only separators."""
    frame = sheet.frame
    empty = frame.get_column(frame.columns[0]).is_null().to_numpy()
    if not empty.any():
        return sheet
    candidates = np.flatnonzero(empty)
    nulls = frame[candidates].select(pl.all_horizontal(pl.all().is_null())).to_series().to_numpy()
    kept = np.ones(len(sheet), bool)
    kept[candidates[nulls]] = False
    if kept.all():
        return sheet
    check_rows(sheet.path, int(kept.sum()))
    return Sheet(sheet.path, sheet.layout, frame.filter(kept), sheet.lines[kept], sheet.unit)
