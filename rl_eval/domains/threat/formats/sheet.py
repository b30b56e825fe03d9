"""`Sheet`: the cells of a table, with the line of each row; `Layout`: how a file was understood."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl

from rl_eval.errors import InputError, nearest

# What a format says about a column; the rest is inferred from its cells.
DeclaredKind = Literal["number", "time", "address"]


@dataclass(frozen=True)
class Layout:
    """How the bytes of a file were understood.

    Attributes:
        format: such as `CSV`.
        packing: `gzip`, or empty.
        encoding: of text, such as `UTF-8`.
        separator: of cells; empty where the format has none.
        decimal: the sign before decimal places.
        comments: lines before the header that are not part of the table.
        renamed: name in the file -> names of its columns, where a name is repeated or empty.
        declared: column -> what the format says that it holds.
        identifiers: columns that the format says to be numbers or texts without a meaning.
    """

    format: str
    packing: str = ""
    encoding: str = ""
    separator: str = ""
    decimal: Literal[".", ","] = "."
    comments: int = 0
    renamed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    declared: Mapping[str, DeclaredKind] = field(default_factory=dict)
    identifiers: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Sheet:
    """R rows of a table, with cells of text or typed ones.

    Attributes:
        lines: `[R]` line or row of the file, from 1.
        unit: `line` or `row`.
    """

    path: Path
    layout: Layout
    frame: pl.DataFrame = field(repr=False)
    lines: np.ndarray = field(repr=False)
    unit: str = "line"

    def __len__(self) -> int:
        return len(self.lines)

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
                f"{some(self.frame.columns)}; set {key}"
            )
        return self.frame[name]

    def text(self, name: str) -> pl.Series:
        """One column as text without surrounding blanks; an empty cell is an empty text."""
        return self.frame[name].cast(pl.String).fill_null("").str.strip_chars()

    def levels(self, name: str) -> tuple[tuple[str, ...], np.ndarray]:
        """One column as its distinct texts, sorted, and each row's index into them, int32 `[R]`."""
        text = self.text(name)
        levels = text.unique().sort()
        codes = text.replace_strict(levels, pl.Series(range(len(levels)), dtype=pl.Int32), return_dtype=pl.Int32)
        return tuple(levels.to_list()), codes.to_numpy()


def some(names: list[str], most: int = 12) -> str:
    """The first names, and how many more there are."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def short(value: object, length: int = 40) -> str:
    """The first line of a cell or message, in quotes, cut to a length."""
    text = str(value).splitlines()[0] if str(value) else ""
    return repr(text if len(text) <= length else text[: length - 1] + "…")
