"""Settings of the machine, such as `QASE_DATA_PATH` and `QASE_API_TOKEN`: environment variables or lines in `.env`."""

from __future__ import annotations

import os
from pathlib import Path

from rl_eval.domains.qase.formats.values import decode_utf8, read_bytes
from rl_eval.errors import InputError

DATA_PATH, TOKEN, API_URL = "QASE_DATA_PATH", "QASE_API_TOKEN", "QASE_API_URL"


def read_variable(name: str, folder: Path | None = None) -> str | None:
    """The value of an environment variable, else of `NAME=value` in `.env`; None if neither is set.

    Args:
        folder: the folder with `.env`; None: the working directory.

    Raises:
        InputError: `.env` cannot be read. Its content is never shown.
    """
    value_set = os.environ.get(name)
    if value_set:
        return value_set
    file = (folder or Path.cwd()) / ".env"
    if not file.is_file():
        return None
    result = None
    for line in decode_utf8(read_bytes(file, 1 << 20), str(file)).splitlines():
        key, equals, value = line.strip().removeprefix("export ").partition("=")
        if equals and key.strip() == name:
            value = value.strip()
            quoted = len(value) > 1 and value[0] in "\"'" and value[-1] == value[0]
            result = value[1:-1] if quoted else value.split(" #")[0].strip()
    return result or None


def data_path(path: str | None) -> str:
    """The path of a project: `path` if given, else `QASE_DATA_PATH`.

    Raises:
        InputError: neither.
    """
    result = path or read_variable(DATA_PATH)
    if not result:
        raise InputError(f"no path to a Qase project: give env.path, or set {DATA_PATH} in the environment or in .env")
    return result
