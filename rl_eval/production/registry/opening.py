"""Opens the registry that a config names."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from rl_eval.production.registry.artefact import read_owner_key
from rl_eval.production.registry.folder import FolderRegistry
from rl_eval.production.registry.protocol import Registry


def open_registry(
    kind: str,
    folder: Path,
    name: str,
    key_file: Path | None = None,
    create: bool = True,
    clock: Callable[[], float] = time.time,
) -> Registry:
    """The registry of one policy.

    Args:
        kind: `folder` or `mlflow`.
        folder: where it is.
        name: of the policy.
        key_file: the owner's key; with one, versions are signed, and those without its signature are refused.
        create: whether it is created where it is missing.
        clock: seconds since 1970.

    Raises:
        RegistryError: it cannot be opened.
        InputError: the key cannot be read, or a package is missing.
    """
    key = None if key_file is None else read_owner_key(key_file)
    if kind == "folder":
        return FolderRegistry(folder / name, key, create, clock)
    from rl_eval.production.registry.mlflow import MlflowRegistry

    return MlflowRegistry(folder, name, key, create, clock)
