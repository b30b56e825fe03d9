"""Read an offline W&B run from its file `run-<id>.wandb`.

The file is LevelDB's log format (https://github.com/google/leveldb/blob/main/doc/log_format.md) around protobuf
records, after a header of seven bytes. Checksums are not verified, and a truncated file is read up to its end.
"""

from __future__ import annotations

import contextlib
import json
import struct
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from rl_eval.compare.compared_run import ComparedRun, finite_numbers, flat_config
from rl_eval.compare.other_runs import other_run
from rl_eval.errors import InputError
from rl_eval.extras import imports_of_extra
from rl_eval.foreign_logs import translate
from rl_eval.run import strip_prefix
from rl_eval.untrusted_files import only_regular

MAX_BYTES = 128 << 20
_BLOCK, _HEADER = 32_768, 7
_FULL, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4


def read_offline(file: Path, columns: Mapping[str, str]) -> ComparedRun:
    """The run in a `.wandb` file.

    Args:
        columns: of a run of another program, our name -> its own.

    Raises:
        InputError: it cannot be read, is too large, or has no column that counts steps.
    """
    with imports_of_extra("wandb", f"{file}, a run of W&B,"):
        from google.protobuf.message import DecodeError
        from wandb.proto import wandb_internal_pb2 as pb

    config: dict[str, Any] = {}
    summary: dict[str, Any] = {}
    history: list[dict[str, Any]] = []
    exit_code, shown_name = None, ""
    try:
        for payload in _records(_content(file)):
            record = pb.Record.FromString(payload)  # type: ignore[attr-defined]
            kind = record.WhichOneof("record_type")
            if kind == "run":
                config |= _items(record.run.config.update)
                shown_name = record.run.display_name or shown_name
            elif kind == "config":
                config |= _items(record.config.update)
            elif kind == "summary":
                summary |= _items(record.summary.update)
            elif kind == "history":
                history.append(_items(_without_media(record.history.item)))
            elif kind == "exit":
                exit_code = record.exit.exit_code
    except (DecodeError, ValueError, RecursionError) as error:
        raise InputError(f"{file} is not a W&B run ({' '.join(str(error).split())[:200]}): name another") from error
    name = str(file.parent if len(list(file.parent.glob("run-*.wandb"))) == 1 else file)
    state = None if exit_code is None else "failed" if exit_code else "finished"
    if is_ours(config):
        return run_from_wandb(name, config, summary, history, state)
    table = columns_of(history)
    curves = translate(table, columns, name)
    return other_run(name, own_config(config), curves, list(table), shown_name or file.stem, state or "running")


def own_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """The config without what W&B adds."""
    return {key: value for key, value in config.items() if not key.startswith("_wandb")}


def is_ours(config: Mapping[str, Any]) -> bool:
    """Whether a config is one of train.py."""
    return isinstance(config.get("env.name"), str) and "validation.metric" in config


def run_from_wandb(
    name: str, config: dict[str, Any], summary: dict[str, Any], history: list[dict[str, Any]], state: str | None
) -> ComparedRun:
    """A run of train.py from the data that W&B keeps.

    Args:
        history: the logged rows.
        state: used where the summary has no status; None: the run has not ended.

    Raises:
        InputError: the config has too many keys.
    """
    config = flat_config(own_config(config), name)
    status = summary.get("status")
    results = strip_prefix(summary, "results/")
    return ComparedRun(
        name=name,
        source="wandb",
        config=config,
        status=status if isinstance(status, str) else state or "running",
        results=finite_numbers(results),
        curves=columns_of(history),
    )


def columns_of(history: list[dict[str, Any]]) -> dict[str, np.ndarray]:
    """Rows as columns; a value that is missing or not a number is NaN. Of W&B's own columns only `_step` is kept."""
    rows = [finite_numbers(row) for row in history if isinstance(row, dict)]
    names = dict.fromkeys(name for row in rows for name in row if not name.startswith("_") or name == "_step")
    return {name: np.array([row.get(name, np.nan) for row in rows]) for name in names}


def _content(file: Path) -> bytes:
    try:
        if file.stat().st_size > MAX_BYTES:
            raise InputError(f"{file} is larger than {MAX_BYTES >> 20} MiB: name another run")
        with open(file, "rb", opener=only_regular) as opened:
            content = opened.read(MAX_BYTES)
    except OSError as error:
        raise InputError(f"{file} cannot be read ({error.strerror or error}): name another run") from error
    if content[:4] != b":W&B":
        raise InputError(f"{file} does not begin like a W&B run: it is damaged or from another program")
    return content


def _records(content: bytes) -> Iterator[bytes]:
    """The payloads; a payload in several fragments is joined."""
    fragments: list[bytes] = []
    offset = _HEADER
    while offset + _HEADER <= len(content):
        remaining = _BLOCK - offset % _BLOCK
        if remaining < _HEADER:  # the rest of a block is filled with zeros
            offset += remaining
            continue
        _, length, kind = struct.unpack_from("<IHB", content, offset)
        offset += _HEADER
        fragment = content[offset : offset + length]
        offset += length
        if len(fragment) < length or kind not in (_FULL, _FIRST, _MIDDLE, _LAST):
            return  # truncated, or the rest was never written
        fragments = [fragment] if kind in (_FULL, _FIRST) else [*fragments, fragment]
        if kind in (_FULL, _LAST):
            yield b"".join(fragments)
            fragments = []


def _without_media(items: Iterable[Any]) -> list[Any]:
    """The items of a row without those of tables, images and the like, whose sizes are numbers too."""
    media = {item.nested_key[0] for item in items if len(item.nested_key) > 1 and item.nested_key[-1] == "_type"}
    return [item for item in items if not item.nested_key or item.nested_key[0] not in media]


def _items(items: Iterable[Any]) -> dict[str, Any]:
    values = {}
    for item in items:
        with contextlib.suppress(ValueError, RecursionError):
            values[item.key or "/".join(item.nested_key)] = json.loads(item.value_json)
    return values
