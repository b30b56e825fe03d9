"""`metrics.csv`: rows are appended and, at a resume, cut."""

from __future__ import annotations

import contextlib
import csv
import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from rl_eval.errors import InputError
from rl_eval.run._files import fsync, naming, write_text


class MetricsLog:
    """`metrics.csv`, append-only; the first row decides the columns."""

    def __init__(self, path: Path):
        self._path = path
        self._columns: list[str] | None = None
        if path.exists():
            with open(path, newline="", encoding="utf-8") as file:
                self._columns = next(csv.reader(file), None)

    def append(self, row: Mapping[str, Any]) -> None:
        """Add a row, whole or not at all.

        Raises:
            ValueError: the row's names differ from the first row's.
            OSError: it cannot be written; the file is as it was.
        """
        text = io.StringIO()
        table = csv.writer(text, lineterminator="\n")
        columns = list(row) if self._columns is None else self._columns
        if self._columns is None:
            table.writerow(columns)
        if set(row) != set(columns):
            raise ValueError(f"metrics row has {sorted(set(row) ^ set(columns))} more or less than the header")
        table.writerow([_cell(row[name]) for name in columns])
        self._write(text.getvalue().encode())
        self._columns = columns

    def _write(self, content: bytes) -> None:
        with naming(self._path):
            descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
            before = os.fstat(descriptor).st_size
            try:
                left = memoryview(content)
                while len(left):  # a disk that fills up takes a part first
                    left = left[os.write(descriptor, left) :]
            except OSError:
                with contextlib.suppress(OSError):
                    os.ftruncate(descriptor, before)
                raise
            finally:
                os.close(descriptor)

    def rows(self) -> int:
        """How many whole rows there are."""
        if not self._path.exists():
            return 0
        return max(self._path.read_bytes().count(b"\n") - 1, 0)

    def sync(self) -> None:
        """Wait until every row is on the disk: a resume point counts on those before it."""
        if self._path.exists():
            with naming(self._path):
                fsync(self._path)

    def cut_to(self, rows: int) -> None:
        """Keep the first `rows` rows, those before a resume point."""
        if not self._path.exists():
            return
        lines = self._path.read_text(encoding="utf-8").splitlines(keepends=True)
        if rows == 0:
            self._path.unlink()
            self._columns = None
        else:
            write_text(self._path, "".join(lines[: 1 + rows]))


def _cell(value: Any) -> Any:
    if isinstance(value, float | np.floating):
        return repr(float(value))
    return value


def read_metrics(path: Path) -> dict[str, np.ndarray]:
    """`metrics.csv` as column name -> float64 array; empty cells are NaN.

    Raises:
        InputError: missing or not a table of numbers.
    """
    try:
        with open(path, newline="", encoding="utf-8") as file:
            whole = [line for line in file if line.endswith("\n")]  # a crash may have cut the last one short
        reader = csv.reader(whole)
        header = next(reader, [])
        rows = [row for row in reader if len(row) == len(header)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} cannot be read: {error}") from error
    try:
        return {
            name: np.array([float(row[i]) if row[i] else np.nan for row in rows], np.float64)
            for i, name in enumerate(header)
        }
    except ValueError as error:
        raise InputError(f"{path} holds a cell that is not a number: {error}") from error
