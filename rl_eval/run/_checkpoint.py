"""Checkpoints: directories with arrays, their metadata and the SHA-256 of both; and their `step_<n>` names."""

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
from typing import Any, TypeVar

import numpy as np

from rl_eval.errors import InputError
from rl_eval.run._files import as_json, file_errors, fsync, read_json, temporary_path, write_durably
from rl_eval.run._safetensors import array_views, file_parts, read_selected
from rl_eval.untrusted_files import only_regular

MAX_CHECKPOINT_BYTES = 4 << 30
MAX_SELECTED_BYTES = 64 << 20
_MAX_SUMS_BYTES = 4096
_CHUNK_BYTES = 1 << 20
Value = TypeVar("Value")


class DamagedError(InputError):
    """A missing, truncated or altered checkpoint; `damage` is the sentence without the advice."""

    def __init__(self, damage: str):
        super().__init__(f"{damage}: use another snapshot of the run")
        self.damage = damage


def write_checkpoint(directory: Path, name: str, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> None:
    """Write a new directory, all or nothing.

    `<name>.safetensors` holds the arrays, `<name>.json` the metadata, and `<name>.sha256` the SHA-256 of both files
    as `sha256sum -c` reads it. The JSON also contains the SHA-256 of the arrays, which identifies the policy
    elsewhere. The arrays are written without a copy.
    """
    payload = list(file_parts(arrays))
    files: dict[str, list[bytes | memoryview]] = {f"{name}.safetensors": payload}
    files[f"{name}.json"] = [as_json({**meta, "sha256": _sha256(payload)}).encode()]
    sums = "".join(f"{_sha256(content)}  {file}\n" for file, content in files.items())
    files[f"{name}.sha256"] = [sums.encode()]
    temporary = temporary_path(directory, "tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        with file_errors(directory):
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


def arrays_sha256(arrays: Mapping[str, np.ndarray]) -> str:
    """SHA-256 of the file that `write_checkpoint` would write of these arrays."""
    return _sha256(file_parts(arrays))


def read_checkpoint(
    directory: Path, name: str, *, mapped: bool = False
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The arrays and the metadata of a checkpoint, after checking both against their SHA-256.

    Args:
        mapped: memory-map the arrays, so that they take no memory until they are read. For arrays that are copied
            elsewhere at once. Only for a run that this process has locked: if another process changes the file, the
            arrays change too.

    Raises:
        DamagedError: a file is missing, truncated or altered; it is named.
    """
    sums = _sums(directory / f"{name}.sha256")
    file = directory / f"{name}.safetensors"
    content = _mapped(file) if mapped else _bytes(file, MAX_CHECKPOINT_BYTES)
    _check_sum(file, [content], sums)
    file = directory / f"{name}.json"
    _check_sum(file, [_bytes(file, MAX_CHECKPOINT_BYTES)], sums)
    try:
        return array_views(content), read_json(file)
    except ValueError as error:
        raise DamagedError(f"{directory / name}.safetensors is not a safetensors file ({error})") from error
    except InputError as error:
        raise DamagedError(str(error)) from error


def read_arrays(
    directory: Path, name: str, names: Collection[str], *, max_bytes: int = MAX_SELECTED_BYTES
) -> dict[str, np.ndarray]:
    """Those of the named arrays that a checkpoint has; other arrays, which may be large, are not loaded.

    Raises:
        DamagedError: the file is missing, truncated or altered, or the arrays take more than `max_bytes`.
    """
    sums = _sums(directory / f"{name}.sha256")
    file = directory / f"{name}.safetensors"
    with _open(file) as (opened, size):
        if size > MAX_CHECKPOINT_BYTES:
            raise DamagedError(f"{file} is larger than {MAX_CHECKPOINT_BYTES:,} bytes, so no run wrote it")
        _check_sum(file, iter(lambda: opened.read(_CHUNK_BYTES), b""), sums)
        opened.seek(0)
        try:
            return read_selected(opened, size, names, max_bytes)
        except ValueError as error:
            raise DamagedError(f"{file} is not a safetensors file of a run ({error})") from error


def _sums(file: Path) -> dict[str, str]:
    """File name -> SHA-256, from a `.sha256` file."""
    lines = _bytes(file, _MAX_SUMS_BYTES).decode("ascii", "replace").splitlines()
    matches = [re.fullmatch(r"([0-9a-f]{64})  ([^/\0]+)", line) for line in lines]
    return {match[2]: match[1] for match in matches if match}


def _check_sum(file: Path, content: Iterable[bytes | bytearray | mmap.mmap], sums: Mapping[str, str]) -> None:
    if _sha256(content) != sums.get(file.name):
        raise DamagedError(f"{file} is truncated or altered (its SHA-256 differs)")


def _sha256(contents: Iterable[bytes | bytearray | memoryview | mmap.mmap]) -> str:
    digest = hashlib.sha256()
    for content in contents:
        digest.update(content)
    return digest.hexdigest()


def _bytes(file: Path, max_bytes: int) -> bytearray:
    with _open(file) as (opened, size):
        if size > max_bytes:
            raise DamagedError(f"{file} is larger than {max_bytes:,} bytes, so no run wrote it")
        content = bytearray(size)
        del content[opened.readinto(content) :]
        return content


def _mapped(file: Path) -> bytearray | mmap.mmap:
    """The file, memory-mapped. Writable, but what is written stays in this process."""
    with _open(file) as (opened, size):
        return mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_COPY) if size else bytearray()


@contextlib.contextmanager
def _open(file: Path) -> Iterator[tuple[BufferedReader, int]]:
    """An open file and its size."""
    try:
        with open(file, "rb", opener=only_regular) as opened:
            yield opened, os.fstat(opened.fileno()).st_size
    except FileNotFoundError as error:
        raise DamagedError(f"{file} does not exist") from error
    except OSError as error:
        raise DamagedError(f"{file} cannot be read ({error.strerror})") from error


def split_state(state: Mapping[str, Any], prefix: str = "") -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The arrays of a nested state by dotted name, and its other values as JSON."""
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
        section = state
        for part in path:
            section = section[part]
        section[name] = array
    return state


def remove_directory(directory: Path) -> None:
    """Remove a checkpoint; it is renamed first, so that no reader sees half of it."""
    removed = temporary_path(directory, "gone")
    os.replace(directory, removed)
    shutil.rmtree(removed, ignore_errors=True)


def strip_prefix(values: Mapping[str, Value], prefix: str) -> dict[str, Value]:
    """The entries whose name starts with a prefix, named without it, in their order."""
    return {name.removeprefix(prefix): value for name, value in values.items() if name.startswith(prefix)}


def step_name(env_steps: int) -> str:
    """The directory name of a snapshot or resume point: `step_<env_steps>`."""
    return f"step_{env_steps}"


def step_of(directory: Path) -> int:
    """The env steps in the name of a snapshot or resume point.

    Raises:
        ValueError: the name is not `step_<n>`.
    """
    if not re.fullmatch("step_[0-9]+", directory.name):
        raise ValueError(f"{directory.name!r} is not step_<n>")
    return int(directory.name.removeprefix("step_"))


def step_directories(folder: Path) -> list[Path]:
    """The `step_<n>` directories in a folder, by n. Links are left out, since they may lead out of the run."""
    if not folder.is_dir():
        return []
    directories = [path for path in folder.iterdir() if path.is_dir() and not path.is_symlink()]
    return sorted((path for path in directories if re.fullmatch("step_[0-9]+", path.name)), key=step_of)
