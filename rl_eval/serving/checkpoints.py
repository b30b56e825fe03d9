"""The server's folder: the version that is served, which outlives a kill, and checkpoints by name.

`versions/<n>` is the policy after n updates or loads, with the agent's state. The store says which n is the current
one, in the same transaction that says what was learned from; so both are of one moment.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from rl_eval import run
from rl_eval.errors import InputError
from rl_eval.serving.bodies import RefusedError
from rl_eval.serving.rows import whole_number
from rl_eval.serving.served_policy import ServedPolicy
from rl_eval.serving.source import Source, served
from rl_eval.serving.store import Store

VERSIONS, SAVED = "versions", "checkpoints"
MAX_SAVED = 1_000
NAME = "policy"
CURRENT, FIRST = "current", "source"  # keys of the store


def current(folder: Path, store: Store, source: Source) -> tuple[ServedPolicy, int]:
    """The policy that a folder serves, and the number of its updates and loads so far.

    Raises:
        InputError: the folder is that of another policy.
    """
    first = store.read_meta(FIRST)
    if first is None:
        store.write_meta(**{FIRST: source.policy.version, CURRENT: "0"})
    elif first != source.policy.version:
        raise InputError(f"{folder} is the folder of another policy, version {first}: name another one with --folder")
    number = whole_number(store.read_meta(CURRENT) or "0", "the number of the current version")
    remove_old(folder, number)
    if number == 0:
        return source.policy, 0
    return policy_of(*run.read_checkpoint(folder / VERSIONS / str(number), NAME), source), number


def policy_of(arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any], source: Source) -> ServedPolicy:
    """The policy in a checkpoint of a folder.

    Raises:
        InputError: it is not a checkpoint, or one of other observations or actions than what was served first.
    """
    policy = served(arrays, meta, str(meta.get("version")), seed=0)
    if policy.spaces != source.policy.spaces:
        raise InputError(
            f"the checkpoint is of a policy for {policy.spaces.env} with other observations or actions than "
            f"{source.name}: use one that this folder saved"
        )
    return policy


def read_version(folder: Path, number: int, source: Source) -> tuple[Mapping[str, np.ndarray], Mapping[str, Any]]:
    """Arrays and metadata of a version; 0 is the source."""
    if number == 0:
        return source.arrays, {**source.meta, "version": source.policy.version}
    return run.read_checkpoint(folder / VERSIONS / str(number), NAME)


def write_version(folder: Path, number: int, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> None:
    """Write a version that is not the current one yet."""
    run.write_checkpoint(folder / VERSIONS / str(number), NAME, arrays, meta)


def make_current(store: Store, number: int) -> None:
    """Serve a version from now on; inside a `transaction`."""
    store.write_meta(**{CURRENT: str(number)})


def remove_old(folder: Path, number: int) -> None:
    """Remove all versions except the current one."""
    directory = folder / VERSIONS
    for path in list(directory.iterdir()) if directory.is_dir() else []:
        if path.name != str(number) and path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)


def save(folder: Path, name: str, number: int, source: Source) -> None:
    """Copy a version to a name.

    Raises:
        RefusedError: 409, there are too many names.
    """
    directory = folder / SAVED
    names = {path.name for path in directory.iterdir()} if directory.is_dir() else set()
    if name not in names and len(names) >= MAX_SAVED:
        raise RefusedError(409, f"the folder has {MAX_SAVED:,} checkpoints, the most it takes: save under an old name")
    arrays, meta = read_version(folder, number, source)
    run.write_checkpoint(directory / name, NAME, arrays, meta)


def read_saved(folder: Path, name: str) -> tuple[Mapping[str, np.ndarray], Mapping[str, Any]]:
    """A checkpoint by name.

    Raises:
        RefusedError: 404, there is none; 409, it is damaged.
    """
    path = folder / SAVED / name
    if not path.is_dir() or path.is_symlink():
        raise RefusedError(404, f"there is no checkpoint {name!r}: save it first")
    try:
        return run.read_checkpoint(path, NAME)
    except InputError as error:
        raise RefusedError(409, str(error)) from error
