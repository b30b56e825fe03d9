"""Files of a run directory whose SHA-256 `run.json` records under `files_sha256`, read only if they are those."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rl_eval.errors import InputError, failure
from rl_eval.run._directory import Run
from rl_eval.run._files import MAX_JSON_BYTES, parse_json, refuse_link
from rl_eval.untrusted_files import only_regular, read_bounded

FILES_SHA256 = "files_sha256"
PREPROCESSING = "preprocessing.json"


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


def read_recorded(run: Run, name: str, max_bytes: int) -> bytes | None:
    """The bytes of a file that a run's training wrote, checked; None if there is no such file.

    Raises:
        InputError: a link, a file that is too large or cannot be read, or one that training did not write: `run.json`
            records no SHA-256 of it, or another one.
    """
    file = run.path / name
    refuse_link(file)
    try:
        content = read_bounded(file, max_bytes)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise InputError(f"{file} cannot be read ({failure(error)}): train again") from error
    except OverflowError as error:
        raise InputError(f"{file} cannot be read ({error}, so no run wrote it): train again") from error
    expected = _recorded_sha256(run, name)
    if not isinstance(expected, str):
        raise InputError(f"{file} cannot be checked, since run.json records no SHA-256 of it: train again")
    if hashlib.sha256(content).hexdigest() != expected:
        raise InputError(
            f"{file} is not the file that training wrote (its SHA-256 is not that of run.json): put the file back, or "
            "train again"
        )
    return content


def read_preprocessing(run: Run) -> dict[str, Any] | None:
    """`preprocessing.json` of a run, as its training wrote it, its values unchecked; None if it wrote none.

    Raises:
        InputError: the file is gone though `run.json` records it, or as `read_recorded`.
    """
    content, file = read_recorded(run, PREPROCESSING, MAX_JSON_BYTES), run.path / PREPROCESSING
    if content is not None:
        return parse_json(content, file)
    if _recorded_sha256(run, PREPROCESSING) is not None:
        raise InputError(
            f"its preprocessing is missing ({file}, whose SHA-256 run.json records): put the file back, or train again"
        )
    return None


def _recorded_sha256(run: Run, name: str) -> object:
    recorded = run.info.get(FILES_SHA256)
    return recorded.get(name) if isinstance(recorded, Mapping) else None
