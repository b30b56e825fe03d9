"""Blocks of whole records of separated text, with the line and the width of each; quotes may hold line ends."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from rl_eval.domains.threat.formats.limits import MAX_RECORD_BYTES
from rl_eval.domains.threat.formats.text_blocks import too_long
from rl_eval.errors import InputError

QUOTE = b'"'


@dataclass(frozen=True)
class Records:
    """N records, each with its line end.

    Attributes:
        lines: `[N]` first line of each, from 1.
        widths: `[N]` cells of each.
        sizes: `[N]` bytes of each.
    """

    data: bytes = field(repr=False)
    lines: np.ndarray = field(repr=False)
    widths: np.ndarray = field(repr=False)
    sizes: np.ndarray = field(repr=False)


def record_blocks(
    blocks: Iterable[bytes],
    path: Path,
    separator: str,
    *,
    first_line: int = 1,
    quotes: bool = True,
    comment: bytes = b"",
) -> Iterator[Records]:
    """The records of blocks of lines; blank lines are left out.

    Args:
        first_line: of the first block.
        quotes: whether cells in quotes may hold separators and line ends.
        comment: how lines begin that are not records; empty: there are none.

    Raises:
        InputError: a record that is too long, such as one whose quote never closes.
    """
    carry, line = b"", first_line
    for block in blocks:
        block = carry + block if carry else block
        records, size, count = _records(block, separator, quotes, comment, line)
        carry, line = block[size:], line + count
        long = np.flatnonzero(records.sizes > MAX_RECORD_BYTES)
        if len(long) or len(carry) > MAX_RECORD_BYTES:
            at = int(records.lines[long[0]]) if len(long) else line
            raise InputError(f"{path}, line {at}: {too_long()}")
        if len(records.lines):
            yield records
    if carry:  # a quote that is not closed: what it holds is one record
        yield Records(carry, np.array([line]), np.array([_width(carry, separator)]), np.array([len(carry)]))


def _records(block: bytes, separator: str, quotes: bool, comment: bytes, line: int) -> tuple[Records, int, int]:
    """The whole records of a block, their bytes, and their lines."""
    octets = np.frombuffer(block, np.uint8)
    newline, cell_end = octets == ord("\n"), octets == ord(separator)
    line_ends = np.flatnonzero(newline)
    ends = line_ends
    if quotes and QUOTE in block:
        quoted = np.bitwise_xor.accumulate((octets == ord(QUOTE)).view(np.uint8)).view(bool)
        cell_end &= ~quoted
        ends = np.flatnonzero(newline & ~quoted)
    if not len(ends):
        nothing = np.zeros(0, np.int64)
        return Records(b"", nothing, nothing, nothing), 0, 0
    size = int(ends[-1]) + 1
    starts = np.concatenate([[0], ends[:-1] + 1])
    widths = np.add.reduceat(cell_end[:size].view(np.uint8), starts, dtype=np.int64) + 1
    lines = np.searchsorted(line_ends, starts) + line
    count = int(np.searchsorted(line_ends, size))
    dropped = ends == starts  # blank lines
    if comment:
        dropped |= octets[starts] == ord(comment)
    for i in np.flatnonzero((widths == 1) & ~dropped & (octets[starts] == ord(" "))):
        dropped[i] = not block[starts[i] : ends[i]].strip()
    if not dropped.any():
        return Records(block[:size], lines, widths, ends + 1 - starts), size, count
    kept = np.flatnonzero(~dropped)
    data = b"".join(block[starts[i] : ends[i] + 1] for i in kept) if len(kept) else b""
    return Records(data, lines[kept], widths[kept], (ends + 1 - starts)[kept]), size, count


def _width(record: bytes, separator: str) -> int:
    """Cells of a record whose last quote is not closed."""
    return sum(part.count(separator.encode()) for part in record.split(QUOTE)[::2]) + 1
