"""How much of a file is read."""

from __future__ import annotations

from pathlib import Path

from rl_eval.errors import InputError

MAX_BYTES = 1 << 30  # of text, unpacked; a file to train on is held in memory
MAX_ROWS = 5_000_000
MAX_COLUMNS = 500
MAX_RECORD_BYTES = 1 << 20  # of one row
BLOCK_BYTES = 8 << 20  # that are read at once


def check_bytes(path: Path, size: int, limit: int | None, *, unpacked: bool = False) -> None:
    """Refuse a file that is too large to be held in memory.

    Raises:
        InputError: more than `limit` bytes; None: any number.
    """
    if limit is None or size <= limit:
        return
    holds = f"holds more than {limit / 2**30:.3g} GiB of text" if unpacked else f"has {size / 2**30:.1f} GiB"
    raise InputError(
        f"{path} {holds} and at most {limit / 2**30:.3g} GiB is read to train on, since all of it is held in memory: "
        "give a sample of it, such as `shuf -n 1000000`, with its header"
    )


def check_rows(path: Path, rows: int) -> None:
    """Refuse a table without rows, or with too many to be held in memory.

    Raises:
        InputError: says which.
    """
    if rows < 1:
        raise InputError(f"{path} has a header and no rows: give a file with flows in it")
    if rows > MAX_ROWS:
        raise InputError(f"{path} has more than {MAX_ROWS:,} rows, and at most these are read: give a sample of it")


def check_columns(path: Path, columns: int) -> None:
    """Refuse a table that is too wide.

    Raises:
        InputError: too many columns.
    """
    if columns > MAX_COLUMNS:
        raise InputError(f"{path} has {columns:,} columns; at most {MAX_COLUMNS} are read: leave some out")
