"""Rows of a CSV file with the line on which each begins."""

from __future__ import annotations

import csv
import io

from rl_eval.errors import InputError

MAX_CELL = 64 << 20


def csv_rows(text: str, where: str, separator: str = ",") -> list[tuple[int, list[str]]]:
    """Rows, each with its first line (from 1).

    Raises:
        InputError: not CSV, with the line.
    """
    allowed = csv.field_size_limit(MAX_CELL)
    rows: list[tuple[int, list[str]]] = []
    line = 1
    try:
        reader = csv.reader(io.StringIO(text, newline=""), strict=True, delimiter=separator)
        for row in reader:
            rows.append((line, row))
            line = reader.line_num + 1
    except csv.Error as error:
        raise InputError(f"{where}, line {line}: not CSV ({error}): export it again") from error
    finally:
        csv.field_size_limit(allowed)
    return rows
