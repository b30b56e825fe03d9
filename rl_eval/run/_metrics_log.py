"""`metrics.csv`: appending rows, cutting them at a resume, and reading them back exactly."""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from rl_eval.errors import InputError
from rl_eval.run._files import file_errors, fsync, refuse_link, write_bytes
from rl_eval.run._table import MAX_TABLE_BYTES
from rl_eval.untrusted_files import only_regular


class MetricsLog:
    """`metrics.csv`, append-only; the first row sets the columns.

    Raises:
        InputError: a file is there that cannot be read.
    """

    def __init__(self, path: Path):
        self._path = path
        self._columns: list[str] | None = None
        self._hash = hashlib.sha256()  # of what was written, which the disk may have altered since
        if path.exists():
            self._take_over(self._content())

    def _content(self) -> bytes:
        refuse_link(self._path)
        try:
            if self._path.stat().st_size > MAX_TABLE_BYTES:
                raise InputError(f"{self._path} is larger than {MAX_TABLE_BYTES >> 20} MiB, so no run wrote it")
            with open(self._path, "rb", opener=only_regular) as file:
                return file.read()
        except OSError as error:
            raise InputError(f"{self._path} cannot be read ({error.strerror}): put the file back") from error

    def _take_over(self, content: bytes) -> None:
        header = content.split(b"\n", 1)[0].decode("utf-8", "replace")
        try:
            self._columns = next(csv.reader([header]), None)
        except csv.Error as error:
            raise InputError(f"{self._path} cannot be read as a table ({error}): put the file back") from error
        self._hash = hashlib.sha256(content)

    @property
    def sha256(self) -> str:
        """The SHA-256 of everything written so far."""
        return self._hash.hexdigest()

    def append(self, row: Mapping[str, Any]) -> None:
        """Add a row, all or nothing.

        Raises:
            ValueError: the row's names differ from those of the first row.
            OSError: the row cannot be written; the file is unchanged.
        """
        text = io.StringIO()
        table = csv.writer(text, lineterminator="\n")
        columns = list(row) if self._columns is None else self._columns
        if self._columns is None:
            table.writerow(columns)
        if set(row) != set(columns):
            raise ValueError(f"metrics row has {sorted(set(row) ^ set(columns))} more or less than the header")
        table.writerow([_cell(row[name]) for name in columns])
        content = text.getvalue().encode()
        self._write(content)
        self._hash.update(content)
        self._columns = columns

    def _write(self, content: bytes) -> None:
        with file_errors(self._path):
            descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
            before = os.fstat(descriptor).st_size
            try:
                rest = memoryview(content)
                while len(rest):  # a disk that fills up takes a part first
                    rest = rest[os.write(descriptor, rest) :]
            except OSError:
                with contextlib.suppress(OSError):
                    os.ftruncate(descriptor, before)
                raise
            finally:
                os.close(descriptor)

    def first_rows(self, rows: int) -> bytes | None:
        """The header and the first `rows` rows as they are on the disk; None if there are fewer.

        Raises:
            InputError: the file cannot be read.
        """
        if rows == 0:
            return b""
        lines = self._content().split(b"\n", 1 + rows) if self._path.exists() else []
        return b"\n".join([*lines[: 1 + rows], b""]) if len(lines) > 1 + rows else None

    def sync(self) -> None:
        """Wait until every row is on the disk: a resume point needs the rows before it."""
        if self._path.exists():
            with file_errors(self._path):
                fsync(self._path)

    def cut_to(self, rows: int) -> None:
        """Keep the first `rows` rows, those before a resume point."""
        if not self._path.exists():
            return
        content = self.first_rows(rows) if rows else b""
        content = self._content() if content is None else content
        if content:
            write_bytes(self._path, content)
        else:
            self._path.unlink()
        self._take_over(content)
        self._columns = self._columns if content else None


def _cell(value: Any) -> Any:
    if isinstance(value, float | np.floating):
        return repr(float(value))
    return value


def read_metrics(path: Path) -> dict[str, np.ndarray]:
    """`metrics.csv` as column name -> float64 array; empty cells are NaN. Strict: for a file that we wrote.

    Raises:
        InputError: the file is missing, a link or too large, or a cell is not a number.
    """
    refuse_link(path)
    try:
        if path.stat().st_size > MAX_TABLE_BYTES:
            raise InputError(f"{path} is larger than {MAX_TABLE_BYTES >> 20} MiB, so no run wrote it")
        with open(path, newline="", encoding="utf-8", opener=only_regular) as file:
            lines = [line for line in file if line.endswith("\n")]  # a crash may have cut the last one short
        reader = csv.reader(lines)
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
        raise InputError(f"{path} has a cell that is not a number: {error}") from error
