"""The same table of flows written in each of the formats that are read."""

from __future__ import annotations

import datetime as dt
import gzip
import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

# Column -> its cells: float, datetime or text, or None where a cell is missing.
Cells = Mapping[str, Sequence[Any]]


def text_of(cell: Any) -> str:
    if cell is None:
        return ""
    return cell.isoformat() if isinstance(cell, dt.datetime) else repr(cell) if isinstance(cell, float) else str(cell)


def separated(table: Cells, separator: str, *, comma: bool = False, end: str = "\n", head: str = "") -> str:
    def cell(value: Any) -> str:
        text = text_of(value)
        text = text.replace(".", ",") if comma and isinstance(value, float) else text
        return f'"{text}"' if separator in text else text

    rows = [separator.join(table), *(separator.join(map(cell, row)) for row in zip(*table.values(), strict=True))]
    return head + end.join([*rows, ""])


def grouped(cell: float) -> str:
    """A number as spreadsheets show it: 1,234.5."""
    whole = math.isfinite(cell) and abs(cell) < 1e15 and math.isclose(cell, round(cell, 3), rel_tol=0, abs_tol=0)
    return f"{cell:,.3f}" if whole else repr(cell)


def zeek(table: Cells) -> str:
    def cell(value: Any) -> str:
        if value is None or value == "":
            return "-"
        return f"{value.timestamp():.6f}" if isinstance(value, dt.datetime) else text_of(value)

    def kind(cells: Sequence[Any]) -> str:
        return next(
            (name for of, name in ((float, "double"), (dt.datetime, "time")) if any(isinstance(c, of) for c in cells)),
            "string",
        )

    head = ["#separator \\x09", "#set_separator\t,", "#empty_field\t(empty)", "#unset_field\t-", "#path\tconn"]
    head += ["\t".join(["#fields", *table]), "\t".join(["#types", *map(kind, table.values())])]
    rows = ["\t".join(map(cell, row)) for row in zip(*table.values(), strict=True)]
    return "\n".join([*head, *rows, "#close\t2026-01-01-00-00-00", ""])


def json_lines(table: Cells) -> str:
    def value(cell: Any) -> Any:
        return cell.strftime("%Y-%m-%dT%H:%M:%S.%f+0000") if isinstance(cell, dt.datetime) else cell

    rows = ({name: value(cell) for name, cell in zip(table, row, strict=True) if cell is not None}
            for row in zip(*table.values(), strict=True))  # fmt: skip
    return "".join(json.dumps(row) + "\n" for row in rows)


def write_parquet(path: Path, table: Cells) -> None:
    columns = [pl.Series(name, [c.replace(tzinfo=None) if isinstance(c, dt.datetime) else c for c in cells])
               for name, cells in table.items()]  # fmt: skip
    pl.DataFrame(columns).write_parquet(path)


def grouped_table(table: Cells) -> Cells:
    return {name: [grouped(c) if isinstance(c, float) else c for c in cells] for name, cells in table.items()}


WRITERS: dict[str, Callable[[Path, Cells], Any]] = {
    "comma": lambda path, table: path.write_text(separated(table, ",")),
    "tab UTF-16": lambda path, table: path.write_text(separated(table, "\t"), "utf-16"),
    "tab UTF-16 big": lambda path, table: path.write_bytes(b"\xfe\xff" + separated(table, "\t").encode("utf-16-be")),
    "semicolon, decimal comma, Windows-1252": lambda path, table: path.write_bytes(
        separated(table, ";", comma=True, end="\r\n", head="sep=;\r\n").encode("cp1252")
    ),
    "CR, mark": lambda path, table: path.write_bytes(b"\xef\xbb\xbf" + separated(table, ",", end="\r").encode()),
    "comments, thousands": lambda path, table: path.write_text(
        separated(grouped_table(table), ",", head="# made by a sensor\n# one, two\n\n")
    ),
    "gzip": lambda path, table: path.write_bytes(gzip.compress(separated(table, ",").encode())),
    "zeek": lambda path, table: path.write_text(zeek(table)),
    "json": lambda path, table: path.write_text(json_lines(table)),
    "parquet": write_parquet,
}
