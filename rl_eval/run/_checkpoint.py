"""Checkpoints: a directory of arrays, what is to be known of them, and the SHA-256 of both."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from rl_eval.errors import InputError
from rl_eval.run._files import as_json, aside, fsync, naming, read_json, write_durably

MAX_CHECKPOINT_BYTES = 4 << 30
_MAX_SUMS_BYTES = 4096


class DamagedError(InputError):
    """A checkpoint that is not whole; `finding` is the sentence without what to do."""

    def __init__(self, finding: str):
        super().__init__(f"{finding}: use another snapshot of the run")
        self.finding = finding


def write_checkpoint(directory: Path, name: str, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> None:
    """Write a new directory, all or nothing.

    `<name>.safetensors` holds the arrays, `<name>.json` the rest, and `<name>.sha256` the SHA-256 of both files
    as `sha256sum -c` reads it. The JSON names the arrays' SHA-256 too: it stands for the policy elsewhere.
    """
    from safetensors.numpy import save

    payload = save({key: np.asarray(value, order="C") for key, value in arrays.items()})
    text = as_json({**meta, "sha256": hashlib.sha256(payload).hexdigest()}).encode()
    files = {f"{name}.safetensors": payload, f"{name}.json": text}
    sums = "".join(f"{hashlib.sha256(content).hexdigest()}  {file}\n" for file, content in files.items())
    temporary = aside(directory, "tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        with naming(directory):
            temporary.mkdir(parents=True)
            for file, content in {**files, f"{name}.sha256": sums.encode()}.items():
                write_durably(temporary / file, content)
            fsync(temporary)
            if directory.exists():
                remove_directory(directory)
            os.replace(temporary, directory)
            fsync(directory.parent)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def read_checkpoint(directory: Path, name: str) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The arrays and the metadata of a checkpoint whose bytes are whole.

    Raises:
        DamagedError: a file is missing, truncated or altered; it is named.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    sums = _sums(directory / f"{name}.sha256")
    payload, _ = (_whole(directory / f"{name}.{ending}", sums) for ending in ("safetensors", "json"))
    try:
        return load(payload), read_json(directory / f"{name}.json")
    except SafetensorError as error:
        raise DamagedError(f"{directory / name}.safetensors is not a safetensors file ({error})") from error
    except InputError as error:
        raise DamagedError(str(error)) from error


def _sums(file: Path) -> dict[str, str]:
    """File name -> SHA-256, as a `.sha256` file says."""
    lines = _bytes(file, _MAX_SUMS_BYTES).decode("ascii", "replace").splitlines()
    found = [re.fullmatch(r"([0-9a-f]{64})  ([^/\0]+)", line) for line in lines]
    return {match[2]: match[1] for match in found if match}


def _whole(file: Path, sums: Mapping[str, str]) -> bytes:
    content = _bytes(file, MAX_CHECKPOINT_BYTES)
    if hashlib.sha256(content).hexdigest() != sums.get(file.name):
        raise DamagedError(f"{file} is truncated or altered (its SHA-256 differs)")
    return content


def _bytes(file: Path, most: int) -> bytes:
    try:
        if file.stat().st_size > most:
            raise DamagedError(f"{file} is larger than {most:,} bytes, so it is not a file of ours")
        return file.read_bytes()
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
