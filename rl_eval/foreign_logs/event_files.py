"""TensorBoard event files, as `torch.utils.tensorboard`, Stable-Baselines3 and our own tracker write them.

A file is a sequence of TFRecords (https://www.tensorflow.org/tutorials/load_data/tfrecord, "TFRecords format details"):
the length of the data as uint64, its checksum, the data, and another checksum. The data are protobuf messages, whose
classes tensorboard has. Checksums are not verified, and a file that is still written is read up to its end.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from rl_eval.errors import InputError
from rl_eval.extras import imports_of_extra
from rl_eval.foreign_logs.columns import translate
from rl_eval.foreign_logs.foreign_log import ForeignLog
from rl_eval.untrusted_files import read_bounded

MAX_BYTES = 128 << 20  # of all files of a folder
MAX_POINTS = 2_000_000  # values, of all tags
MAX_FILES = 1_000
MAX_TAGS = 1_000
MAX_CELLS = 32 << 20
MAX_SETTINGS, MAX_SETTINGS_BYTES, MAX_VALUE_LENGTH = 1_000, 1 << 20, 200
SETTINGS_TAG = "hyperparameters/text_summary"  # CleanRL's: a table in Markdown
_LENGTH, _CHECKSUM = 8, 4


def event_files(folder: Path) -> list[Path]:
    """The event files of a folder by name, so by time, without links.

    Raises:
        InputError: there are too many.
    """
    files = sorted(file for file in folder.glob("*tfevents*") if file.is_file() and not file.is_symlink())
    if len(files) > MAX_FILES:
        raise InputError(f"{folder} has more than {MAX_FILES:,} event files: name one of them")
    return files


def read_events(path: Path, files: list[Path], columns: Mapping[str, str]) -> ForeignLog:
    """The scalars of event files of one run; a row for each step, or several where a tag has several values at it.

    Raises:
        InputError: tensorboard is not installed, a file cannot be read, is too large, or is not an event file; or a
            column that is named is missing.
    """
    with imports_of_extra("tensorboard", f"{path}, a log of TensorBoard,"):
        from google.protobuf.message import DecodeError
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog

    points: dict[str, list[tuple[int, float]]] = {}
    settings: dict[str, Any] = {}
    room, count = MAX_BYTES, 0
    for file in files:
        content = _content(file, room)
        room -= len(content)
        try:
            for record in _records(content):
                event = Event.FromString(record)
                if event.session_log.status == SessionLog.START:  # what was logged from here on is played again
                    points = {tag: [point for point in known if point[0] < event.step] for tag, known in points.items()}
                for value in event.summary.value:
                    if value.WhichOneof("value") == "simple_value":
                        points.setdefault(value.tag, []).append((event.step, value.simple_value))
                        count += 1
                    elif value.tag == SETTINGS_TAG and value.tensor.string_val:
                        settings |= _settings(value.tensor.string_val[0][:MAX_SETTINGS_BYTES])
                if len(points) > MAX_TAGS or count > MAX_POINTS:
                    raise InputError(
                        f"{file} has more than {MAX_TAGS:,} tags or {MAX_POINTS:,} values, so it is not read: log fewer"
                    )
        except DecodeError as error:
            raise InputError(f"{file} is damaged, or not an event file of TensorBoard: name another") from error
    table = _table(path, points)
    steps = table.pop("", np.zeros(0))
    named = {"env_steps": "", **columns}
    curves = translate({"": steps, **table}, named, path, list(table))
    del curves[""]
    counts = {"env_steps": int(steps[-1])} if len(steps) else {}
    return ForeignLog(path, curves, tuple(table), settings, counts)


def _content(file: Path, room: int) -> bytes:
    try:
        return read_bounded(file, room)
    except OverflowError as error:
        raise InputError(
            f"{file}: the event files of a run are larger than {MAX_BYTES >> 20} MiB, so they are not read: log less "
            "often"
        ) from error
    except OSError as error:
        raise InputError(f"{file} cannot be read ({error.strerror or error}): name another") from error


def _records(content: bytes) -> Iterator[bytes]:
    offset = 0
    while offset + _LENGTH + _CHECKSUM < len(content):
        (length,) = struct.unpack_from("<Q", content, offset)
        offset += _LENGTH + _CHECKSUM
        if offset + length + _CHECKSUM > len(content):
            return  # truncated, or the rest was never written
        yield content[offset : offset + length]
        offset += length + _CHECKSUM


def _table(path: Path, points: Mapping[str, list[tuple[int, float]]]) -> dict[str, np.ndarray]:
    """Tag -> `[rows]`; the steps of the rows have the name ''."""
    keys: dict[str, list[tuple[int, int]]] = {}  # the step of each value, and how many the tag had at that step before
    for tag, values in points.items():
        seen: dict[int, int] = {}
        keys[tag] = []
        for step, _ in values:
            seen[step] = seen.get(step, -1) + 1
            keys[tag].append((step, seen[step]))
    rows = {key: row for row, key in enumerate(sorted({key for tag_keys in keys.values() for key in tag_keys}))}
    if len(rows) * (len(points) + 1) > MAX_CELLS:
        raise InputError(f"{path} has more than {MAX_CELLS:,} values, so it is not read: log less often")
    table = {"": np.array([step for step, _ in rows], np.float64)}
    for tag, values in points.items():
        column = np.full(len(rows), np.nan)
        column[[rows[key] for key in keys[tag]]] = [value for _, value in values]
        column[~np.isfinite(column)] = np.nan
        table[tag] = column
    return table


def _settings(text: bytes) -> dict[str, Any]:
    """The rows `|name|value|` of a table in Markdown; numbers as numbers."""
    settings: dict[str, Any] = {}
    for line in text.decode("utf-8", "replace").splitlines()[2 : MAX_SETTINGS + 2]:
        name, bar, value = line.strip().strip("|").partition("|")
        if bar:
            settings[name] = _number(value[:MAX_VALUE_LENGTH])
    return settings


def _number(text: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
