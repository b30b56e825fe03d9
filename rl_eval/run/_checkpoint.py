"""Checkpoints: a directory of arrays, what is to be known of them, and the SHA-256 of both."""

from __future__ import annotations

import contextlib
import hashlib
import mmap
import os
import re
import shutil
from collections.abc import Collection, Iterable, Iterator, Mapping
from io import BufferedReader
from pathlib import Path
from typing import Any

import numpy as np

from rl_eval.errors import InputError
from rl_eval.run._files import as_json, aside, fsync, naming, read_json, write_durably
from rl_eval.run._safetensors import parts, read_some, views

MAX_CHECKPOINT_BYTES = 4 << 30
MAX_SOME_BYTES = 64 << 20
_MAX_SUMS_BYTES = 4096
_PIECE = 1 << 20


class DamagedError(InputError):
    """A checkpoint that is not whole; `finding` is the sentence without what to do."""

    def __init__(self, finding: str):
        super().__init__(f"{finding}: use another snapshot of the run")
        self.finding = finding


def write_checkpoint(directory: Path, name: str, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> None:
    """Write a new directory, all or nothing.

    `<name>.safetensors` holds the arrays, `<name>.json` the rest, and `<name>.sha256` the SHA-256 of both files
    as `sha256sum -c` reads it. The JSON names the arrays' SHA-256 too: it stands for the policy elsewhere.
    The arrays are written from where they lie, without a copy.
    """
    payload = list(parts(arrays))
    files: dict[str, list[bytes | memoryview]] = {f"{name}.safetensors": payload}
    files[f"{name}.json"] = [as_json({**meta, "sha256": _sha256(payload)}).encode()]
    sums = "".join(f"{_sha256(content)}  {file}\n" for file, content in files.items())
    files[f"{name}.sha256"] = [sums.encode()]
    temporary = aside(directory, "tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        with naming(directory):
            temporary.mkdir(parents=True)
            for file, content in files.items():
                write_durably(temporary / file, *content)
            fsync(temporary)
            if directory.exists():
                remove_directory(directory)
            os.replace(temporary, directory)
            fsync(directory.parent)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def read_checkpoint(
    directory: Path, name: str, *, mapped: bool = False
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The arrays and the metadata of a checkpoint whose bytes are whole.

    Args:
        mapped: the arrays are where the system maps the file, and take no memory until they are read: for a state
            that has a place of its own to be copied to. Only for a run that this process holds, since what another
            one changes in the file then changes here.

    Raises:
        DamagedError: a file is missing, truncated or altered; it is named.
    """
    sums = _sums(directory / f"{name}.sha256")
    file = directory / f"{name}.safetensors"
    content = _mapped(file) if mapped else _bytes(file, MAX_CHECKPOINT_BYTES)
    _require_whole(file, [content], sums)
    file = directory / f"{name}.json"
    _require_whole(file, [_bytes(file, MAX_CHECKPOINT_BYTES)], sums)
    try:
        return views(content), read_json(file)
    except ValueError as error:
        raise DamagedError(f"{directory / name}.safetensors is not a safetensors file ({error})") from error
    except InputError as error:
        raise DamagedError(str(error)) from error


def read_arrays(
    directory: Path, name: str, names: Collection[str], *, most: int = MAX_SOME_BYTES
) -> dict[str, np.ndarray]:
    """Those arrays of these names that a checkpoint has, where the others may be as large as memory.

    Raises:
        DamagedError: the file is missing, truncated or altered, or these take more than `most` bytes.
    """
    sums = _sums(directory / f"{name}.sha256")
    file = directory / f"{name}.safetensors"
    with _opened(file) as (opened, size):
        if size > MAX_CHECKPOINT_BYTES:
            raise DamagedError(f"{file} is larger than {MAX_CHECKPOINT_BYTES:,} bytes, so it is not a file of ours")
        _require_whole(file, iter(lambda: opened.read(_PIECE), b""), sums)
        opened.seek(0)
        try:
            return read_some(opened, size, names, most)
        except ValueError as error:
            raise DamagedError(f"{file} is not a safetensors file of ours ({error})") from error


def _sums(file: Path) -> dict[str, str]:
    """File name -> SHA-256, as a `.sha256` file says."""
    lines = _bytes(file, _MAX_SUMS_BYTES).decode("ascii", "replace").splitlines()
    found = [re.fullmatch(r"([0-9a-f]{64})  ([^/\0]+)", line) for line in lines]
    return {match[2]: match[1] for match in found if match}


def _require_whole(file: Path, content: Iterable[bytes | bytearray | mmap.mmap], sums: Mapping[str, str]) -> None:
    if _sha256(content) != sums.get(file.name):
        raise DamagedError(f"{file} is truncated or altered (its SHA-256 differs)")


def _sha256(contents: Iterable[bytes | bytearray | memoryview | mmap.mmap]) -> str:
    digest = hashlib.sha256()
    for content in contents:
        digest.update(content)
    return digest.hexdigest()


def _bytes(file: Path, most: int) -> bytearray:
    with _opened(file) as (opened, size):
        if size > most:
            raise DamagedError(f"{file} is larger than {most:,} bytes, so it is not a file of ours")
        content = bytearray(size)
        del content[opened.readinto(content) :]
        return content


def _mapped(file: Path) -> bytearray | mmap.mmap:
    """Writable, as arrays of our own are: what is written there stays in this process."""
    with _opened(file) as (opened, size):
        return mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_COPY) if size else bytearray()


@contextlib.contextmanager
def _opened(file: Path) -> Iterator[tuple[BufferedReader, int]]:
    """A file and its size."""
    try:
        with open(file, "rb") as opened:
            yield opened, os.fstat(opened.fileno()).st_size
    except FileNotFoundError as error:
        raise DamagedError(f"{file} does not exist") from error
    except OSError as error:
        raise DamagedError(f"{file} cannot be read ({error.strerror})") from error


def split_state(state: Mapping[str, Any], prefix: str = "") -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The arrays of a nested state by dotted name, and the rest of it as JSON values."""
    arrays: dict[str, np.ndarray] = {}
    rest: dict[str, Any] = {}
    for name, value in state.items():
        if isinstance(value, np.ndarray):
            arrays[f"{prefix}{name}"] = value
        elif isinstance(value, Mapping):
            inner, rest[name] = split_state(value, f"{prefix}{name}.")
            arrays |= inner
        else:
            rest[name] = value
    return arrays, rest


def join_state(arrays: Mapping[str, np.ndarray], rest: Mapping[str, Any]) -> dict[str, Any]:
    """The inverse of `split_state`."""
    state = {name: join_state({}, value) if isinstance(value, Mapping) else value for name, value in rest.items()}
    for dotted, array in arrays.items():
        *path, name = dotted.split(".")
        place = state
        for part in path:
            place = place[part]
        place[name] = array
    return state


def remove_directory(directory: Path) -> None:
    """Remove a checkpoint; renamed first, so that a reader never meets half of one."""
    gone = aside(directory, "gone")
    os.replace(directory, gone)
    shutil.rmtree(gone, ignore_errors=True)


def steps_in(folder: Path) -> list[Path]:
    """The `step_<n>` directories in a folder, by n; never a link, which may lead out of the run."""
    if not folder.is_dir():
        return []
    named = [p for p in folder.iterdir() if re.fullmatch("step_[0-9]+", p.name) and p.is_dir() and not p.is_symlink()]
    return sorted(named, key=lambda p: int(p.name[5:]))
