"""Episodes that were played elsewhere, as a CSV or JSONL file has them: one row for each, read with limits.

Columns: `unit` names the episode; `return` is its return; `length` its number of steps; any other is a fact.
`reference` is the return of another policy in the same unit, and `reference.<fact>` a fact of it.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from rl_eval.errors import InputError, nearest
from rl_eval.formatting import brief
from rl_eval.rollout import Episodes
from rl_eval.untrusted_files import read_bounded

MAX_BYTES = 64 << 20
MAX_ROWS = 1_000_000
MAX_COLUMNS = 200
MAX_VALUE = 1e100  # so that means are finite
MAX_STEPS = 10_000_000  # of all episodes together
UNIT, RETURN, LENGTH, REFERENCE = "unit", "return", "length", "reference"
SUFFIXES = (".csv", ".jsonl")
_WORDS = {"true": 1.0, "false": 0.0, "": math.nan}


@dataclass(frozen=True)
class EpisodeFile:
    """N episodes in the order of the file.

    Attributes:
        units: `[N]` their names.
        columns: name -> `[N]` numbers; NaN where a row has none.
    """

    path: Path
    units: Sequence[str] = field(repr=False)
    columns: Mapping[str, np.ndarray] = field(repr=False)

    def __len__(self) -> int:
        return len(self.units)

    def episodes(self, facts: Sequence[str], *, reference: bool = False) -> Episodes:
        """The episodes with the facts that are in the file, each on the last step.

        Args:
            facts: of the environment: `native_reward`, and keys of `info`.
            reference: those of the reference.

        Raises:
            InputError: there are no columns of a reference.
        """
        names = {fact: _column(fact, reference) for fact in facts}
        present = {fact: column for fact, column in names.items() if column in self.columns}
        if reference and not present:
            wanted = " or ".join(names.values())
            raise InputError(f"{self.path} has no column of a reference: add {wanted}, or remove better_than")
        lengths = self.columns[LENGTH].astype(np.int64) if LENGTH in self.columns else np.ones(len(self), np.int64)
        last = np.cumsum(lengths) - 1
        outcome = {}
        for fact, column in present.items():
            values = np.full(last[-1] + 1, 0.0 if column in (RETURN, REFERENCE) else np.nan)
            values[last] = self.columns[column]
            outcome[fact] = values
        count = len(self)
        return Episodes(
            seeds=np.arange(count),
            lengths=lengths,
            terminated=np.ones(count, bool),
            episode=np.repeat(np.arange(count), lengths),
            outcome=outcome,
            first_obs=np.zeros((count, 0), np.float32),
        )

    def require(self, facts: Sequence[str]) -> None:
        """Refuse a file that lacks what a criterion reads.

        Raises:
            InputError: a fact has no column.
        """
        for fact in facts:
            if (column := _column(fact, False)) not in self.columns:
                raise InputError(
                    f"{self.path} has no column {column!r}: {nearest(column, self.columns)}its columns are "
                    f"{brief(', '.join([UNIT, *self.columns]))}"
                )


def _column(fact: str, reference: bool) -> str:
    if fact == "native_reward":
        return REFERENCE if reference else RETURN
    return f"{REFERENCE}.{fact}" if reference else fact


def read_episode_file(path: Path) -> EpisodeFile:
    """Read and check a file.

    Raises:
        InputError: it cannot be read, is too large, or a row is not valid, with its line.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"{path} is neither CSV nor JSONL: name a file that ends in {' or '.join(SUFFIXES)}")
    try:
        text = read_bounded(path, MAX_BYTES).decode("utf-8-sig")
    except OverflowError as error:
        raise InputError(f"{path} is larger than {MAX_BYTES >> 20} MiB: judge fewer episodes") from error
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise InputError(f"{path} cannot be read ({reason}): name a file of episodes") from error
    rows = _csv_rows(path, text) if path.suffix.lower() == ".csv" else _json_rows(path, text)
    lines: dict[str, int] = {}
    values: dict[str, list[float]] = {}
    for line, row in rows:
        if len(lines) >= MAX_ROWS:
            raise InputError(f"{path} has more than {MAX_ROWS:,} rows: judge fewer episodes")
        unit = str(row.get(UNIT, "")).strip()
        if not unit:
            raise InputError(f"{path}:{line}: there is no {UNIT!r}: name the episode of each row")
        if unit in lines:
            raise InputError(
                f"{path}:{line}: the unit {brief(repr(unit), 60)} is on line {lines[unit]} too: write one row for each "
                "episode"
            )
        if not values:
            values = {str(name): [] for name in row if name != UNIT}
        elif row.keys() - {UNIT} != values.keys():
            odd = sorted(map(str, (row.keys() - {UNIT}) ^ values.keys()))[0]
            raise InputError(f"{path}:{line}: the column {brief(repr(odd), 60)} is not in every row: write it in each")
        lines[unit] = line
        for name, column in values.items():
            column.append(_number(path, line, name, row[name]))
    if not lines:
        raise InputError(f"{path} has no episodes: write one row for each")
    return EpisodeFile(path, list(lines), _checked(path, values, list(lines.values())))


def _checked(path: Path, values: Mapping[str, list[float]], lines: Sequence[int]) -> dict[str, np.ndarray]:
    if not 0 < len(values) <= MAX_COLUMNS:
        raise InputError(
            f"{path} has {len(values)} columns in addition to {UNIT!r}: give {RETURN!r} or facts, at most {MAX_COLUMNS}"
        )
    columns = {name: np.array(column, np.float64) for name, column in values.items()}
    for name in (RETURN, LENGTH):
        if name in columns and (missing := np.flatnonzero(np.isnan(columns[name]))).size:
            raise InputError(f"{path}:{lines[missing[0]]}: there is no {name!r}: give a number in each row")
    if LENGTH in columns:
        lengths = columns[LENGTH]
        wrong = np.flatnonzero((lengths < 1) | (lengths != np.floor(lengths)))
        if wrong.size:
            raise InputError(
                f"{path}:{lines[wrong[0]]}: {LENGTH} {lengths[wrong[0]]:g} is not a number of steps: give a whole "
                "number from 1"
            )
        if lengths.sum() > MAX_STEPS:
            raise InputError(f"{path} has more than {MAX_STEPS:,} steps: leave {LENGTH!r} out")
    return columns


def _csv_rows(path: Path, text: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = [name.strip() for name in next(reader, [])]
        if not any(header):
            return
        if len(header) == 1 and (separator := next((sign for sign in ";\t|" if sign in header[0]), None)):
            raise InputError(f"{path}:1: the columns are separated by {separator!r}: separate them by commas")
        if UNIT not in header or len(set(header)) < len(header):
            fault = "has no column 'unit'" if UNIT not in header else "names a column twice"
            raise InputError(f"{path}:1: the header {fault}: begin with a line such as unit,return")
        for row in reader:
            if not row:
                continue
            if len(row) != len(header):
                raise InputError(f"{path}:{reader.line_num}: {len(row)} values, but the header has {len(header)}")
            yield reader.line_num, dict(zip(header, row, strict=True))
    except csv.Error as error:
        raise InputError(f"{path}:{reader.line_num}: not valid CSV ({error})") from error


def _json_rows(path: Path, text: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for line, content in enumerate(text.splitlines(), 1):
        if not content.strip():
            continue
        try:
            row = json.loads(content, object_pairs_hook=partial(_without_repeats, path, line))
        except InputError:
            raise
        except (ValueError, RecursionError) as error:
            raise InputError(f"{path}:{line}: not valid JSON: write one object in each line") from error
        if not isinstance(row, dict):
            raise InputError(f'{path}:{line}: not an object: write one such as {{"unit": "a", "return": 1.5}}')
        yield line, row


def _without_repeats(path: Path, line: int, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row = dict(pairs)
    if len(row) < len(pairs):
        twice = next(name for name in row if sum(name == other for other, _ in pairs) > 1)
        raise InputError(f"{path}:{line}: {brief(repr(twice), 60)} is there twice: give each key once")
    return row


def _number(path: Path, line: int, name: str, value: Any) -> float:
    if value is None:
        return math.nan
    text = str(value).strip() if isinstance(value, str | bool | int | float) else "?"
    number = _WORDS.get(text.lower())
    if number is None:
        try:
            number = float(text)
        except ValueError:
            number = math.inf
        if abs(number) > MAX_VALUE and math.isfinite(number):
            raise InputError(f"{path}:{line}: {name} {number:g} is larger than {MAX_VALUE:g}: give what was measured")
        if not math.isfinite(number) and text.lower() != "nan":
            raise InputError(
                f"{path}:{line}: {name} {brief(repr(value), 60)} is not a number: give finite numbers, true or false"
            )
    return number
