"""Cells that are numbers: with grouped thousands, decimal commas, percent signs, and cells that are missing."""

from __future__ import annotations

from typing import Literal

import numpy as np
import polars as pl

# In addition to an empty cell, in any letter case.
MISSING = ("na", "n/a", "nan", "null", "none", "nil", "-", "--", "?", "(null)", "(empty)", "#n/a", "#value!", "#div/0!")

DecimalSign = Literal[".", ","]
# Three digits after a sign that groups them; the first group does not begin with 0.
_GROUPS = {".": r"^[+-]?[1-9]\d{0,2}(,\d{3})+(\.\d+)?$", ",": r"^[+-]?[1-9]\d{0,2}(\.\d{3})+(,\d+)?$"}
_BLANK_GROUPS = r"^[+-]?[1-9]\d{0,2}([ '\u{00A0}\u{202F}\u{2019}]\d{3})+([.,]\d+)?$"
_DECIMAL_COMMA = r"^[+-]?\d*,\d+([eE][+-]?\d+)?$"
_HEXADECIMAL = r"^0[xX][0-9a-fA-F]{1,13}$"


def plain_numbers(series: pl.Series, decimal: DecimalSign) -> pl.Series:
    """Numbers as a program writes them, `[R]` float64; null where a cell is anything else.

    Args:
        series: text, numbers or booleans.
        decimal: the decimal sign of the file. With a comma, points group thousands where they can.
    """
    if series.dtype != pl.String:
        return series.cast(pl.Float64)
    text = series.str.strip_chars()
    if decimal == ",":
        text = _with_decimal_point(text)
    return text.cast(pl.Float64, strict=False)


def parse_numbers(series: pl.Series, decimal: DecimalSign) -> tuple[np.ndarray, np.ndarray]:
    """The numbers of a column, in any notation that is read.

    Returns:
        values: `[R]` float64, NaN where a cell is missing or not a number; infinite ones stay.
        bad: `[R]` bool, whether a cell is neither a number nor missing.
    """
    plain = plain_numbers(series, decimal)
    bad = np.zeros(len(series), bool)
    if series.dtype == pl.String and plain.null_count():
        rest = np.flatnonzero((plain.is_null() & is_filled(series)).to_numpy())
        if len(rest):
            noted = _noted_numbers(series[rest].str.strip_chars(), decimal)
            numbers = plain.to_numpy().copy()
            numbers[rest] = noted.fill_null(np.nan).to_numpy()
            bad[rest] = noted.is_null().to_numpy() & ~is_missing(series[rest]).to_numpy()
            return numbers, bad
    return plain.fill_null(np.nan).to_numpy(), bad


def are_noted_numbers(series: pl.Series, decimal: DecimalSign) -> pl.Series:
    """Which cells are numbers with grouped thousands, a decimal comma or a percent sign, bool `[R]`."""
    text = series.str.strip_chars()
    noted = _noted_numbers(text, decimal).is_not_null() & ~text.str.contains(_HEXADECIMAL)
    return noted.fill_null(False) & plain_numbers(series, ".").is_null()


def is_filled(series: pl.Series) -> pl.Series:
    """Which cells of text are not empty, bool `[R]`."""
    return series.str.strip_chars().fill_null("") != ""


def is_missing(series: pl.Series) -> pl.Series:
    """Which cells of text are empty, or mean an empty cell, bool `[R]`."""
    return series.str.strip_chars().str.to_lowercase().fill_null("").is_in(["", *MISSING])


def _noted_numbers(text: pl.Series, decimal: DecimalSign) -> pl.Series:
    """Cells without blanks around them as numbers, float64; null where a cell is not a number."""
    percent = text.str.ends_with("%")
    text = text.str.strip_suffix("%").str.strip_chars_end()
    blanks = text.str.contains(_BLANK_GROUPS)
    text = _replaced(text, blanks, r"[ '\u{00A0}\u{202F}\u{2019}]", "")
    text = _with_decimal_point(text) if decimal == "," else _replaced(text, text.str.contains(_GROUPS["."]), ",", "")
    numbers = text.cast(pl.Float64, strict=False)
    hexadecimal = text.str.contains(_HEXADECIMAL).fill_null(False)
    if hexadecimal.any():
        digits = pl.Series([int(cell, 16) if is_hex else None for cell, is_hex in zip(text, hexadecimal, strict=True)])
        numbers = numbers.fill_null(digits.cast(pl.Float64))
    return numbers / percent.fill_null(False).cast(pl.Float64).replace_strict([0.0, 1.0], [1.0, 100.0])


def _with_decimal_point(text: pl.Series) -> pl.Series:
    """Cells with a decimal comma as a program writes them; others as they are."""
    text = _replaced(text, text.str.contains(_GROUPS[","]), r"\.", "")
    return _replaced(text, text.str.contains(_DECIMAL_COMMA), ",", ".")


def _replaced(text: pl.Series, where: pl.Series, pattern: str, value: str) -> pl.Series:
    """The cells with a pattern replaced in those that a mask selects."""
    if not where.any():
        return text
    return text.str.replace_all(pattern, value).zip_with(where.fill_null(False), text)
