"""Whether a file writes decimal places after a point or after a comma."""

from __future__ import annotations

from typing import Literal

import polars as pl

# A sign that is followed by other than three digits, or follows a single 0, does not group thousands.
_COMMA = r"^[+-]?(0|\d+|\d{1,3}(\.\d{3})+),(\d{1,2}|\d{4,})%?$|^[+-]?0,\d+%?$"
_POINT = r"^[+-]?(0|\d+|\d{1,3}(,\d{3})+)\.(\d{1,2}|\d{4,})%?$|^[+-]?0\.\d+%?$"
_GROUPED = r"^[+-]?[1-9]\d{0,2}(,\d{3})+%?$"
MAX_ROWS = 10_000


def decimal_sign(frame: pl.DataFrame, separator: str) -> Literal[".", ","]:
    """The sign that more columns show beyond doubt.

    Where none does, as where all cells with a comma are like 1,234, it is a comma in files with semicolons.
    Spreadsheets write these where the comma is the decimal sign.
    """
    comma = point = grouped = 0
    for column in frame.head(MAX_ROWS).iter_columns():
        text = column.str.strip_chars()
        comma += bool(text.str.contains(_COMMA).any())
        point += bool(text.str.contains(_POINT).any())
        grouped += bool(text.str.contains(_GROUPED).any())
    if comma > point or (comma == point == 0 and grouped and separator == ";"):
        return ","
    return "."
