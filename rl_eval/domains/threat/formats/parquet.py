"""Parquet files, whole or a bounded number of rows at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import polars as pl

from rl_eval.domains.threat.formats.limits import check_bytes, check_columns, check_rows
from rl_eval.domains.threat.formats.sheet import DeclaredKind, Layout, Sheet, short
from rl_eval.errors import InputError

BLOCK_ROWS = 65_536


class ParquetReader:
    """The rows of a Parquet file.

    Raises:
        InputError: not Parquet, or larger than the limit.
    """

    def __init__(self, path: Path, limit: int | None):
        self._path = path
        check_bytes(path, path.stat().st_size, limit)
        try:
            self._lazy = pl.scan_parquet(path, glob=False)
            self._schema = self._lazy.collect_schema()
            self._rows = int(self._lazy.select(pl.len()).collect().item())
        except (pl.exceptions.PolarsError, OSError) as error:
            raise _unreadable(path, error) from error
        if limit is not None:
            check_rows(path, self._rows)
        check_columns(path, len(self._schema))
        declared: dict[str, DeclaredKind] = {
            name: "time" for name, kind in self._schema.items() if kind in (pl.Date, pl.Datetime)
        }
        self.layout = Layout(format="Parquet", declared=declared)

    @property
    def columns(self) -> Sequence[str]:
        """The names of the columns."""
        return self._schema.names()

    def sheets(self, columns: Sequence[str] | None) -> Iterator[Sheet]:
        """The rows in blocks.

        Raises:
            InputError: damaged.
        """
        lazy = self._lazy if columns is None else self._lazy.select(columns)
        try:
            for start in range(0, self._rows, BLOCK_ROWS):
                frame = lazy.slice(start, BLOCK_ROWS).collect()
                yield Sheet(self._path, self.layout, frame, np.arange(start + 1, start + len(frame) + 1), "row")
        except (pl.exceptions.PolarsError, OSError) as error:
            raise _unreadable(self._path, error) from error


def _unreadable(path: Path, error: Exception) -> InputError:
    return InputError(f"{path} cannot be read as Parquet: {short(error, 120)}")
