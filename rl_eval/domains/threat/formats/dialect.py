"""How separated text is written: comments and a `sep=` line at its head, the separator, and the header."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rl_eval.domains.threat.formats.header import unique_names
from rl_eval.domains.threat.formats.records import record_blocks
from rl_eval.errors import InputError

SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab"}
SAMPLE_BYTES = 1 << 16
SAMPLE_ROWS = 100
AGREEING = 0.9  # of the rows of a sample that have as many cells as the header


@dataclass(frozen=True)
class Dialect:
    """How a text is written.

    Attributes:
        names: of the columns; without a header those for the width of the first row.
        widths: that rows may have.
        head_bytes: before the first row of data, in `head_lines` lines.
        comments: lines of the head that are not part of the table.
    """

    separator: str
    names: Sequence[str]
    renamed: Mapping[str, tuple[str, ...]]
    widths: frozenset[int]
    head_bytes: int
    head_lines: int
    comments: int


def detect(block: bytes, path: Path, headerless: Mapping[int, Sequence[str]], needed: Sequence[str]) -> Dialect:
    """The dialect of the text that begins with a block of lines.

    Args:
        headerless: for a format without a header, the names of the columns for each width.
        needed: where rows may have a header all the same: the names that tell it.

    Raises:
        InputError: no rows, or no header of at least two names.
    """
    lines = _first_lines(block)
    start, separators = 0, list(SEPARATORS)
    while start < len(lines) and not lines[start].strip():
        start += 1
    if start < len(lines) and (named := re.fullmatch(rb"\s*\"?sep=(.)\"?\s*", lines[start])):
        if (separator := named[1].decode()) not in SEPARATORS:
            raise InputError(f"{path}, line {start + 1}: the separator is {separator!r}: use {_separators()}")
        separators, start = [separator], start + 1
    first = start
    while start < len(lines) and (lines[start].startswith(b"#") or not lines[start].strip()):
        start += 1
    if start > first and (start == len(lines) or _is_data_below(lines, start, separators)):
        start -= 1  # the names are on a line that begins with #
        while not lines[start].strip():
            start -= 1
    if start >= len(lines):
        raise InputError(f"{path} is empty: give a file with flows in it")
    offset = sum(map(len, lines[:start]))
    if headerless:
        plain = _without_header(block, offset, start, path, headerless, needed)
        if plain is not None:
            return plain
    return _with_header(block, offset, start, path, separators)


def _without_header(
    block: bytes, offset: int, start: int, path: Path, headerless: Mapping[int, Sequence[str]], needed: Sequence[str]
) -> Dialect | None:
    """The dialect of rows without a header; None where the first row is one."""
    record = next(record_blocks([block[offset:]], path, ",", first_line=start + 1), None)
    assert record is not None  # the block has a line that is not blank
    cells = _cells(record.data[: record.data.index(b"\n")], ",", path, start + 1)
    if needed and set(needed) <= {cell.strip() for cell in cells}:
        return None
    width = int(record.widths[0])
    widths = frozenset({width}) if width in headerless else frozenset(headerless)
    return Dialect(",", headerless.get(width, ()), {}, widths, offset, start, start)


def _with_header(block: bytes, offset: int, start: int, path: Path, separators: Sequence[str]) -> Dialect:
    sampled = block[offset : block.rfind(b"\n", 0, offset + 16 * SAMPLE_BYTES) + 1] or block[offset:]
    best: tuple[tuple[bool, int], str, bytes, int] | None = None
    for separator in separators:
        sample = next(record_blocks([sampled], path, separator, first_line=start + 1))
        width, rows = int(sample.widths[0]), sample.widths[1 : 1 + SAMPLE_ROWS]
        agrees = not len(rows) or float((rows == width).mean()) >= AGREEING
        key = (width > 1 and agrees, width)
        if best is None or key > best[0]:
            end = _record_end(sample.data)
            best = key, separator, sample.data[:end], width
    assert best is not None
    _, separator, header, width = best
    if width < 2:
        raise InputError(
            f"{path}, line {start + 1}: only one column: a header of names is expected, separated by {_separators()}"
        )
    cells = _cells(header.rstrip(b"\n"), separator, path, start + 1)
    names, renamed = unique_names(cells)
    head = offset + len(header)
    return Dialect(separator, names, renamed, frozenset({width}), head, start + header.count(b"\n"), start)


def _first_lines(block: bytes) -> list[bytes]:
    stream, lines = io.BytesIO(block), list[bytes]()
    while stream.tell() < SAMPLE_BYTES and (line := stream.readline()):
        lines.append(line)
    return lines


def _record_end(data: bytes) -> int:
    """The bytes of the first record, whose quotes may hold line ends."""
    end = data.index(b"\n") + 1
    while data.count(b'"', 0, end) % 2 and end < len(data):
        end = data.index(b"\n", end) + 1
    return end


def _is_data_below(lines: Sequence[bytes], start: int, separators: Sequence[str]) -> bool:
    """Whether the last line with # names the columns: the next has as many cells, and one of them is not a name."""
    above = next(line for line in reversed(lines[:start]) if line.strip())
    for separator in separators:
        names = above.decode("utf-8", "replace").strip().split(separator)
        cells = lines[start].decode("utf-8", "replace").strip("\r\n").split(separator)
        if len(names) > 1 and len(names) == len(cells) and any(_is_number(cell) for cell in cells):
            return True
    return False


def _is_number(cell: str) -> bool:
    try:
        float(cell.strip().strip('"') or "0")
    except ValueError:
        return False
    return True


def _cells(line: bytes, separator: str, path: Path, number: int) -> list[str]:
    try:
        return next(csv.reader([line.decode()], delimiter=separator))
    except csv.Error as error:  # a CR outside quotes, or a name of more than 128 KiB
        raise InputError(
            f"{path}, line {number}: the header cannot be read ({error}): give names on one line, separated by "
            f"{_separators()}"
        ) from error


def _separators() -> str:
    return "commas, semicolons or tabs"
