"""Text with a header and cells between separators: CSV, its relatives with semicolons and tabs, and Zeek's rows."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl

from rl_eval.domains.threat.formats.decimal_sign import decimal_sign
from rl_eval.domains.threat.formats.dialect import Dialect, detect
from rl_eval.domains.threat.formats.records import QUOTE, Records, record_blocks
from rl_eval.domains.threat.formats.sheet import Layout, Sheet, short
from rl_eval.domains.threat.formats.text_blocks import TextBlocks
from rl_eval.errors import InputError


class DelimitedReader:
    """The rows of a text with a header, or of one whose columns have known names.

    Args:
        first: the block of lines that the text begins with; `rest` are those that follow.
        headerless: for a format without a header, the names of the columns for each width.
        needed: where rows of such a format may have a header all the same: the names that tell it.

    Raises:
        InputError: no rows, or no header of at least two names.
    """

    def __init__(
        self,
        text: TextBlocks,
        first: bytes,
        rest: Iterator[bytes],
        path: Path,
        packing: str,
        headerless: Mapping[int, Sequence[str]],
        needed: Sequence[str],
    ):
        self._dialect = detect(first, path, headerless, needed)
        self._path, self._text = path, text
        below = first[self._dialect.head_bytes :]
        blocks = record_blocks(
            itertools.chain([below] if below else [], rest), path, self._dialect.separator,
            first_line=self._dialect.head_lines + 1,
        )  # fmt: skip
        frames = ((records, parsed(records, self._dialect, path)) for records in blocks)
        first_rows = next(frames, None)
        self._frames = frames if first_rows is None else itertools.chain([first_rows], frames)
        self._layout = Layout(
            format="rows without a header" if headerless and not self._dialect.renamed else "CSV",
            packing=packing,
            separator=self._dialect.separator,
            decimal="." if first_rows is None else decimal_sign(first_rows[1], self._dialect.separator),
            comments=self._dialect.comments,
            renamed=self._dialect.renamed,
        )

    @property
    def columns(self) -> Sequence[str]:
        """The names of the columns."""
        return self._dialect.names

    @property
    def layout(self) -> Layout:
        """How the text is written, with the encoding as known so far."""
        return replace(self._layout, encoding=self._text.encoding)

    def sheets(self, columns: Sequence[str] | None) -> Iterator[Sheet]:
        """The rows in blocks.

        Raises:
            InputError: a row of another width, or quotes that do not pair up.
        """
        for records, frame in self._frames:
            yield Sheet(self._path, self.layout, frame if columns is None else frame.select(columns), records.lines)


def parsed(
    records: Records, dialect: Dialect, path: Path, *, quotes: bool = True, empty: Sequence[str] = ()
) -> pl.DataFrame:
    """The cells of records as text; empty cells are null.

    Args:
        empty: texts that mean an empty cell.

    Raises:
        InputError: a record of another width, or quotes that do not pair up.
    """
    open_quote = quotes and records.data.count(QUOTE) % 2 == 1
    try:
        _check_widths(records, dialect.widths, path)
        return _frame(records, dialect, path, quotes, empty)
    except InputError as error:
        if not open_quote:
            raise
        raise InputError(
            f"{path}, line {records.lines[-1]}: a quote is opened and never closed: close it, or double it in the cell"
        ) from error


def _frame(records: Records, dialect: Dialect, path: Path, quotes: bool, empty: Sequence[str]) -> pl.DataFrame:
    try:
        frame = pl.read_csv(
            records.data, has_header=False, new_columns=list(dialect.names), infer_schema=False,
            separator=dialect.separator, quote_char='"' if quotes and QUOTE in records.data else None,
            null_values=list(empty) or None,
        )  # fmt: skip
    except pl.exceptions.PolarsError as error:
        raise InputError(f"{path} cannot be read as CSV: {short(error, 120)}") from error
    if len(frame) != len(records.lines):
        raise InputError(f"{path} has quotes that do not pair up: quote whole cells and double the quotes inside them")
    return frame


def _check_widths(records: Records, widths: frozenset[int], path: Path) -> None:
    wrong = np.flatnonzero(~np.isin(records.widths, list(widths)))
    if len(wrong):
        line, width = int(records.lines[wrong[0]]), int(records.widths[wrong[0]])
        expected = " or ".join(map(str, sorted(widths)))
        raise InputError(
            f"{path}, line {line}: {width} column{'s' * (width != 1)} where {expected} are expected: "
            "fix or remove the row"
        )
