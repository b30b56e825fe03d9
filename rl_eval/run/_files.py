"""Atomic files: written under a temporary name, fsynced and renamed; and the JSON of a run directory."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from rl_eval.errors import InputError
from rl_eval.untrusted_files import read_bounded

SCHEMA = 1
MAX_JSON_BYTES = 16 << 20
ROOM_BYTES = 64 << 10  # what Hydra and a run write before the first snapshot


def create_directory(path: Path) -> Path:
    """Make a new directory; `_2`, `_3`, … is added to the name where it exists."""
    if path.name in ("", ".."):
        raise InputError(f"{path} is not the name of a new folder: name another with hydra.run.dir=...")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for attempt in range(1, 10_000):
            candidate = path if attempt == 1 else path.with_name(f"{path.name}_{attempt}")
            with contextlib.suppress(FileExistsError):
                candidate.mkdir()
                return candidate
    except OSError as error:
        raise InputError(f"{path} cannot be created ({error.strerror}): name another with hydra.run.dir=...") from error
    raise InputError(f"{path} and 9,999 names like it are taken: name another folder with hydra.run.dir=...")


def discard_directory(path: Path) -> None:
    """Remove the directory of a run that has not begun, and the folders of `outputs/` above it that are empty then."""
    shutil.rmtree(path, ignore_errors=True)
    for parent in path.parents:
        if parent.parts[:1] != ("outputs",):
            break
        with contextlib.suppress(OSError):
            parent.rmdir()


def require_room(directory: Path) -> None:
    """Check that a new run's first files can be written, by writing as much.

    Raises:
        InputError: they cannot; the directory is gone then.
    """
    try:
        write_bytes(directory / "room", bytes(ROOM_BYTES))
        (directory / "room").unlink()
    except OSError as error:
        discard_directory(directory)
        raise InputError(
            f"{directory} has no room for a run ({error.strerror}): make room, or name another folder with "
            "hydra.run.dir=..."
        ) from error


@contextlib.contextmanager
def file_errors(path: Path) -> Iterator[None]:
    """Make an `OSError` in the block name this file; a failed `write` names none, others a temporary file."""
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


def fsync(path: Path) -> None:
    """Wait until a file, or the names in a directory, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_durably(path: Path, *contents: bytes | memoryview) -> None:
    """Write a file in place and wait until it is on the disk; for files in a temporary directory."""
    with open(path, "wb", buffering=0) as file:
        for content in contents:
            rest = memoryview(content)
            while len(rest):  # a disk that fills up takes a part first
                rest = rest[file.write(rest) :]
        os.fsync(file.fileno())


def temporary_path(path: Path, ending: str) -> Path:
    """A hidden path in the same folder, used by this process only."""
    return path.with_name(f".{path.name}.{os.getpid()}.{ending}")


def write_bytes(path: Path, content: bytes | memoryview) -> None:
    """Write a file atomically."""
    temporary = temporary_path(path, "tmp")
    try:
        with file_errors(path):
            write_durably(temporary, content)
            os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_text(path: Path, text: str) -> None:
    """Write a text file, UTF-8, atomically."""
    write_bytes(path, text.encode())


def remove_leftovers(directory: Path) -> None:
    """Remove temporary files of killed processes from a run directory.

    Only for the process that has the run's lock: the temporary file of a running process looks the same.
    """
    for folder in (directory, directory / "snapshots", directory / "resume"):
        for path in list(folder.iterdir()) if folder.is_dir() else []:
            if not re.fullmatch(r"\..+\.[0-9]+\.(tmp|gone)", path.name):
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


def as_json(values: Mapping[str, Any]) -> str:
    """`values` with the schema number as JSON; NaN and infinities become null."""
    return json.dumps(_finite({"schema": SCHEMA, **values}), indent=2, allow_nan=False) + "\n"


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write `values` with the schema number as JSON; NaN and infinities become null."""
    write_text(path, as_json(values))


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(k): _finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value


def refuse_link(file: Path) -> None:
    """Refuse a symbolic link, which may lead out of a run directory.

    Raises:
        InputError: the file is one.
    """
    if file.is_symlink():
        raise InputError(f"{file} is a link: put the file itself there")


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object that `write_json` wrote.

    Raises:
        InputError: missing, too large, not JSON, or of another schema.
    """
    try:
        content = read_bounded(path, MAX_JSON_BYTES)
    except OverflowError as error:
        raise InputError(f"{path} is larger than {MAX_JSON_BYTES >> 20} MiB, so no run wrote it") from error
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read as JSON ({error}): it is damaged or from another program") from error
    return parse_json(content, path)


def parse_json(content: bytes, path: Path) -> dict[str, Any]:
    """The JSON object in the bytes of a file, which `path` names in messages.

    Raises:
        InputError: not JSON, or of another schema.
    """
    try:
        values = json.loads(content.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} cannot be read as JSON ({error}): it is damaged or from another program") from error
    if not isinstance(values, dict) or values.get("schema") != SCHEMA:
        raise InputError(f"{path} does not say `schema: {SCHEMA}`: it was written by another program or version")
    return values
