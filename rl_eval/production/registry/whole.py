"""`check_files`: a version is whole before it gets an alias that servers follow."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from rl_eval.errors import InputError
from rl_eval.production.registry.protocol import Registry


def check_files(registry: Registry, number: int) -> None:
    """Load a version aside, as a server does.

    Raises:
        RegistryError: a byte was changed, a file is missing or added, or the registry is away.
        InputError: there is no room for a copy.
    """
    try:
        with TemporaryDirectory(prefix="rl_eval-version-", ignore_cleanup_errors=True) as folder:
            registry.load(number, Path(folder) / "version")
    except OSError as error:
        raise InputError(f"version {number} cannot be checked ({error.strerror or error}): free some space") from error
