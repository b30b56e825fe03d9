"""Rows of new flows, a bounded number at a time, of a file or stream of any format that is read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import polars as pl

from rl_eval.domains.threat.formats.json_lines import EVENT
from rl_eval.domains.threat.formats.sheet import Sheet, some
from rl_eval.domains.threat.formats.table_reader import open_table
from rl_eval.errors import InputError

CHUNK_ROWS = 4096


def row_chunks(
    source: Path | BinaryIO, columns: Sequence[str], headerless: Mapping[int, Sequence[str]], events: Sequence[str]
) -> Iterator[Sheet]:
    """The named columns of a file, or of a stream of text.

    Args:
        headerless: the column names of each width that a row may have in a format without a header.
        events: of EVE, the types of events that are rows; empty: of other data.

    Raises:
        InputError: a missing file or column, a row of another width, or data that cannot be read.
    """
    with open_table(source, headerless=headerless, needed=columns) as reader:
        if reader.columns is not None:
            _require(columns, reader.columns, source)
        read = tuple(dict.fromkeys((*columns, EVENT))) if reader.columns is None and events else tuple(columns)
        for sheet in reader.sheets(read):
            if reader.columns is None and events:
                mask = sheet.text(EVENT).is_in(list(events))
                sheet = replace(sheet, frame=sheet.frame.filter(mask), lines=sheet.lines[mask.to_numpy()])
            if reader.columns is None and len(sheet):
                absent = [name for name in columns if sheet.frame[name].null_count() == len(sheet)]
                if len(absent) == len(columns):
                    raise InputError(f"{_name(source)}: no object has any of the keys {some(list(columns))}")
            for start in range(0, len(sheet), CHUNK_ROWS):
                part = slice(start, start + CHUNK_ROWS)
                yield replace(sheet, frame=sheet.frame[part].select(pl.col(columns)), lines=sheet.lines[part])


def _require(columns: Sequence[str], present: Sequence[str], source: Path | BinaryIO) -> None:
    if missing := [name for name in columns if name not in present]:
        raise InputError(
            f"{_name(source)} lacks the column{'s' * (len(missing) > 1)} {', '.join(missing)} that the run or --keep "
            f"needs: it has {some(list(present))}"
        )


def _name(source: Path | BinaryIO) -> str:
    return str(source) if isinstance(source, Path) else "stdin"
