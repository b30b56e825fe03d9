"""What a person sets once for a machine: an environment variable, or its line in `.env`."""

from __future__ import annotations

import os
from pathlib import Path

from rl_eval.domains.qase.formats.values import decode_utf8, read_bytes
from rl_eval.errors import InputError

DATA_PATH, TOKEN = "QASE_DATA_PATH", "QASE_API_TOKEN"


def read_variable(name: str, folder: Path | None = None) -> str | None:
    """The value of an environment variable, else of `NAME=value` in the folder's `.env`; None where it has none.

    Args:
        folder: where `.env` lies; None: the working directory.

    Raises:
        InputError: `.env` cannot be read. Its content is never shown.
    """
    given = os.environ.get(name)
    if given:
        return given
    file = (folder or Path.cwd()) / ".env"
    if not file.is_file():
        return None
    found = None
    for line in decode_utf8(read_bytes(file, 1 << 20), str(file)).splitlines():
        key, equals, value = line.strip().removeprefix("export ").partition("=")
        if equals and key.strip() == name:
            value = value.strip()
            quoted = len(value) > 1 and value[0] in "\"'" and value[-1] == value[0]
            found = value[1:-1] if quoted else value.split(" #")[0].strip()
    return found or None


def data_path(given: str | None) -> str:
    """Where a project lies: the path that was given, else `QASE_DATA_PATH`.

    Raises:
        InputError: neither.
    """
    found = given or read_variable(DATA_PATH)
    if not found:
        raise InputError(f"no path to a Qase project: give env.path, or set {DATA_PATH} in the environment or in .env")
    return found
