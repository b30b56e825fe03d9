"""SHA-256 of files of a run directory, as `run.json` records them under `files_sha256`."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rl_eval.errors import InputError, failure
from rl_eval.untrusted_files import only_regular

FILES_SHA256 = "files_sha256"


def file_sha256(file: Path) -> str:
    """SHA-256 of a plain file, in hexadecimal digits.

    Raises:
        InputError: it cannot be read.
    """
    try:
        with open(file, "rb", opener=only_regular) as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"{file} cannot be read ({failure(error)}): train again") from error


def require_recorded(directory: Path, info: Mapping[str, Any], name: str) -> None:
    """Check that a file of a run is the one that its training wrote.

    Args:
        info: `run.json`.
        name: of a file in the directory.

    Raises:
        InputError: `run.json` records no SHA-256 of it, or another one.
    """
    recorded = info.get(FILES_SHA256)
    expected = recorded.get(name) if isinstance(recorded, Mapping) else None
    if not isinstance(expected, str):
        raise InputError(f"{directory / name} cannot be checked, since run.json records no SHA-256 of it: train again")
    if file_sha256(directory / name) != expected:
        raise InputError(
            f"{directory / name} is not the file that training wrote (its SHA-256 is not that of run.json): "
            "put the file back, or train again"
        )
