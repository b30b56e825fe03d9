"""Zeek's tab-separated logs: the head says which fields there are, of which type, and how unset ones are written."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from rl_eval.domains.threat.formats.delimited import parsed
from rl_eval.domains.threat.formats.dialect import Dialect
from rl_eval.domains.threat.formats.header import unique_names
from rl_eval.domains.threat.formats.records import record_blocks
from rl_eval.domains.threat.formats.sheet import DeclaredKind, Layout, Sheet
from rl_eval.domains.threat.formats.text_blocks import TextBlocks
from rl_eval.errors import InputError

_KINDS: dict[str, DeclaredKind] = {
    "time": "time", "interval": "number", "count": "number", "int": "number", "double": "number", "port": "number",
    "addr": "address",
}  # fmt: skip
_THREE_BLANKS = b"   "  # which labelled logs of IoT-23 have between their last fields


def is_zeek(block: bytes) -> bool:
    """Whether a text begins with the head of a Zeek log."""
    return block.startswith((b"#separator", b"#fields"))


class ZeekReader:
    """The rows of a Zeek log, or of several that follow each other in one file and have the same fields.

    Raises:
        InputError: no fields are named.
    """

    def __init__(self, text: TextBlocks, first: bytes, rest: Iterator[bytes], path: Path, packing: str):
        head = _head(first)
        if not head.get("fields"):
            raise InputError(f"{path} begins as a Zeek log does and has no line #fields: give the log with its head")
        escaped = head.get("separator", ["\\x09"])[0]
        self._separator = re.sub(r"\\x([0-9a-fA-F]{2})", lambda code: chr(int(code[1], 16)), escaped)
        if len(self._separator) != 1 or not self._separator.isascii():
            raise InputError(f"{path}: #separator {escaped!r}: one ASCII character is expected, such as \\x09")
        self._path, self._text, self._fields = path, text, head["fields"]
        self._splits_blanks = _THREE_BLANKS.decode() in self._fields[-1]
        names, renamed = unique_names(self._split(self._fields))
        types = self._split(head.get("types", []))
        self._empty = [
            head.get(key, [default])[0] for key, default in (("unset_field", "-"), ("empty_field", "(empty)"))
        ]
        self._dialect = Dialect(self._separator, names, renamed, frozenset({len(names)}), 0, 0, 0)
        self._blocks = itertools.chain([first], rest)
        self._layout = Layout(
            format="Zeek log",
            packing=packing,
            separator=self._separator,
            renamed=renamed,
            declared={name: _KINDS[kind] for name, kind in zip(names, types, strict=False) if kind in _KINDS},
            identifiers=frozenset({"uid", "fuid", "community_id"} & set(names)),
        )

    @property
    def columns(self) -> Sequence[str]:
        """The names of the fields."""
        return self._dialect.names

    @property
    def layout(self) -> Layout:
        """How the log is written."""
        return replace(self._layout, encoding=self._text.encoding)

    def sheets(self, columns: Sequence[str] | None) -> Iterator[Sheet]:
        """The rows in blocks; unset and empty fields are empty cells.

        Raises:
            InputError: a row of another width, or a later head with other fields.
        """
        blocks = (self._rows(block) for block in self._blocks)
        for records in record_blocks(blocks, self._path, self._separator, quotes=False, comment=b"#"):
            frame = parsed(records, self._dialect, self._path, quotes=False, empty=self._empty)
            yield Sheet(self._path, self.layout, frame if columns is None else frame.select(columns), records.lines)

    def _rows(self, block: bytes) -> bytes:
        for fields in re.findall(rb"^#fields[^\n]*", block, re.MULTILINE):
            if _values(fields) != self._fields:
                raise InputError(
                    f"{self._path} holds logs with different #fields, one after another: give those of one kind"
                )
        return block.replace(_THREE_BLANKS, self._separator.encode()) if self._splits_blanks else block

    def _split(self, values: Sequence[str]) -> list[str]:
        if not self._splits_blanks:
            return list(values)
        return [part for value in values for part in value.split(_THREE_BLANKS.decode())]


def _head(block: bytes) -> dict[str, list[str]]:
    """The lines of the head: key -> values."""
    head = dict[str, list[str]]()
    for line in block.split(b"\n"):
        if not line.startswith(b"#"):
            break
        head[re.split(rb"[\t ]", line[1:], maxsplit=1)[0].decode("utf-8", "replace")] = _values(line)
    return head


def _values(line: bytes) -> list[str]:
    """What follows the key of a line of the head; #separator is followed by a blank, all others by the separator."""
    text = line.decode("utf-8", "replace")
    if text.startswith("#separator"):
        return [text[len("#separator") :].strip()]
    key = re.match(r"#\w+", text)
    rest = text[key.end() :] if key else ""
    return rest[1:].split(rest[0]) if rest else []
