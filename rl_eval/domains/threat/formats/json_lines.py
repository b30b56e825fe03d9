"""JSON with one object per line: nested objects become columns whose names are joined by dots."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from rl_eval.domains.threat.formats.sheet import DeclaredKind, Layout, Sheet, short
from rl_eval.domains.threat.formats.text_blocks import TextBlocks
from rl_eval.errors import InputError

EVENT = "event_type"
# Of Suricata's EVE (event_type) and of Zeek's logs as JSON (uid).
_EVE_TIMES = ("timestamp", "flow.start", "flow.end", "netflow.start", "netflow.end")
_EVE_IDENTIFIERS = frozenset({"flow_id", "parent_id", "pcap_cnt", "tx_id", "community_id", "in_iface", "pcap_filename"})
_ZEEK_IDENTIFIERS = frozenset({"uid", "fuid", "community_id"})
_LEFT_OUT_EVENTS = frozenset({"stats"})  # counters of the sensor
_SAMPLE_LINES = 100
MAX_KEYS = 2_000  # of events of all types


def is_json(block: bytes) -> bool:
    """Whether a text begins as JSON does."""
    return block.lstrip()[:1] in (b"{", b"[")


class JsonLinesReader:
    """The objects of a text, one per line; those of EVE that are counters of the sensor are left out.

    Raises:
        InputError: not one object per line.
    """

    def __init__(self, text: TextBlocks, first: bytes, rest: Iterator[bytes], path: Path, packing: str):
        if first.lstrip()[:1] == b"[":
            raise InputError(f"{path} is one JSON array, and one object per line is read: write it with `jq -c '.[]'`")
        self._path, self._text = path, text
        self._blocks = itertools.chain([first], rest)
        objects = [_object(line, number, path) for number, line in itertools.islice(_lines([first]), _SAMPLE_LINES)]
        keys = {key for entry in objects for key in _flat(entry)}
        self._first_columns = sorted(keys)
        is_eve, is_zeek = {EVENT, "timestamp"} <= keys, {"ts", "uid"} <= keys
        declared: dict[str, DeclaredKind] = dict.fromkeys(_EVE_TIMES if is_eve else ("ts",) if is_zeek else (), "time")
        self._layout = Layout(
            format="Suricata EVE JSON" if is_eve else "Zeek log as JSON" if is_zeek else "JSON, one object per line",
            packing=packing,
            declared=declared,
            identifiers=_EVE_IDENTIFIERS if is_eve else _ZEEK_IDENTIFIERS if is_zeek else frozenset(),
        )
        self.is_eve = is_eve

    @property
    def columns(self) -> None:
        """Not known before all is read: each object has keys of its own."""
        return

    @property
    def layout(self) -> Layout:
        """How the text is written."""
        return replace(self._layout, encoding=self._text.encoding)

    def sheets(self, columns: Sequence[str] | None) -> Iterator[Sheet]:
        """The objects in blocks, with all columns of their block, or with those that are named.

        Raises:
            InputError: a line that is not an object, or too many different keys.
        """
        for block in _blocks_of_lines(self._blocks):
            cells: dict[str, list[str | None]] = {} if columns is None else {name: [] for name in columns}
            numbers, rows = [], 0
            for number, line in block:
                entry = _flat(_object(line, number, self._path))
                if self.is_eve and entry.get(EVENT) in _LEFT_OUT_EVENTS:
                    continue
                numbers.append(number)
                for name, value in entry.items() if columns is None else ((name, entry.get(name)) for name in columns):
                    column = cells.setdefault(name, [])
                    column.extend([None] * (rows - len(column)))
                    column.append(value)
                rows += 1
                if len(cells) > MAX_KEYS:
                    raise InputError(
                        f"{self._path}, line {number}: more than {MAX_KEYS:,} different keys: give objects of one kind"
                    )
            for column in cells.values():
                column.extend([None] * (rows - len(column)))
            if rows:
                frame = pl.DataFrame([pl.Series(name, values, pl.String) for name, values in cells.items()])
                yield Sheet(self._path, self.layout, frame, np.array(numbers))


def _lines(blocks: Iterable[bytes], number: int = 1) -> Iterator[tuple[int, bytes]]:
    """The lines that are not blank, with their numbers."""
    for block in blocks:
        for line in block.split(b"\n")[:-1]:
            if line.strip():
                yield number, line
            number += 1


def _blocks_of_lines(blocks: Iterable[bytes]) -> Iterator[Iterable[tuple[int, bytes]]]:
    number = 1
    for block in blocks:
        yield _lines([block], number)
        number += block.count(b"\n")


def _object(line: bytes, number: int, path: Path) -> Mapping[str, Any]:
    """An object, with numbers as they are written."""
    try:
        entry = json.loads(line, parse_int=str, parse_float=str, parse_constant=str)
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deep" if isinstance(error, RecursionError) else short(error, 80)
        raise InputError(
            f"{path}, line {number}: not JSON ({reason}): give one object per line, or remove the line"
        ) from error
    if not isinstance(entry, dict):
        raise InputError(f"{path}, line {number}: {short(line.decode(), 40)} where an object is expected: remove it")
    return entry


def _flat(entry: Mapping[str, Any]) -> dict[str, str | None]:
    """The values of nested objects as text, by keys that are joined by dots."""
    cells: dict[str, str | None] = {}
    waiting: list[tuple[str, Any]] = [*entry.items()][::-1]
    while waiting:
        name, value = waiting.pop()
        if isinstance(value, dict):
            waiting.extend((f"{name}.{key}", inner) for key, inner in [*value.items()][::-1])
        elif isinstance(value, bool):
            cells[name] = "true" if value else "false"
        elif isinstance(value, list):
            plain = not any(isinstance(part, list | dict) for part in value)
            cells[name] = ",".join(map(str, value)) if plain else json.dumps(value)
        else:
            cells[name] = value
    return cells
