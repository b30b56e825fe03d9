"""Read single values of an untrusted file strictly; every error names the location."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from rl_eval.domains.qase.model.project import short_repr
from rl_eval.errors import InputError
from rl_eval.untrusted_files import only_regular

MAX_BYTES = 1 << 30
_Model = TypeVar("_Model", bound=BaseModel)


def read_bytes(path: Path, limit: int = MAX_BYTES) -> bytes:
    """A file's content.

    Raises:
        InputError: the file is missing, unreadable, or larger than the limit (bytes).
    """
    try:
        with open(path, "rb", opener=only_regular) as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}): check the path and its permissions") from error
    if len(data) > limit:
        raise InputError(f"{path} has more than {limit >> 20} MiB, which is the most that is read: split it")
    return data


def decode_utf8(data: bytes, where: str) -> str:
    """UTF-8 text without its byte-order mark.

    Raises:
        InputError: invalid UTF-8, with the line.
    """
    try:
        return data.decode().removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InputError(f"{where}, line {line}: not UTF-8 text: export it again as UTF-8") from error


def parse_json(data: bytes | str, where: str) -> Any:
    """Parse JSON. Duplicate keys, NaN and Infinity are errors.

    Raises:
        InputError: invalid JSON, with line and column.
    """
    text = decode_utf8(data, where) if isinstance(data, bytes) else data
    try:
        return _DECODER.decode(text)
    except json.JSONDecodeError as error:
        cut = "the file ends too early" if error.pos >= len(text.rstrip()) else error.msg
        raise InputError(
            f"{where}, line {error.lineno}, column {error.colno}: not JSON ({cut}): export it again"
        ) from error
    except RecursionError as error:
        raise InputError(f"{where} is nested too deep to be read: export it again") from error
    except ValueError as error:
        raise InputError(f"{where}: not JSON ({error}): export it again") from error


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {short_repr(twice)} appears twice in one object")
    return values


def _constant(name: str) -> float:
    raise ValueError(f"{name} is not a JSON number")


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_constant)


def read_object(value: Any, where: str) -> dict[str, Any]:
    """A JSON object.

    Raises:
        InputError: anything else.
    """
    if not isinstance(value, dict):
        raise _wrong(value, where, "an object")
    return value


def read_list(value: Any, where: str) -> list[Any]:
    """A JSON list; `null` is an empty list.

    Raises:
        InputError: anything else.
    """
    if value is None:
        return []
    if not isinstance(value, list):
        raise _wrong(value, where, "a list")
    return value


def read_text(value: Any, where: str) -> str:
    """A text; `null` is an empty text.

    Raises:
        InputError: anything else, numbers included.
    """
    if value is None:
        return ""
    if not isinstance(value, str):
        raise _wrong(value, where, "text")
    return value


def text_field(values: Mapping[str, Any], name: str, where: str) -> str:
    """The text of a field. The location is built only for an error, since there are millions of fields.

    Raises:
        InputError: anything except a text or `null`.
    """
    value = values.get(name)
    return value if type(value) is str else read_text(value, f"{where}, field {name!r}")


def read_integer(value: Any, where: str) -> int:
    """An integer, or a text of digits.

    Raises:
        InputError: anything else, booleans included.
    """
    if type(value) is int:
        return value
    if isinstance(value, str):
        stripped = value.strip()
        if stripped.isascii() and stripped.removeprefix("-").isdigit() and len(stripped) < 20:
            return int(stripped)
    raise _wrong(value, where, "a whole number")


def read_id(value: Any, where: str) -> int | None:
    """An id, an integer from 1; None if empty.

    Raises:
        InputError: anything else.
    """
    if type(value) is int and 0 < value < 2**63:
        return value
    if value is None or value == "":
        return None
    number = read_integer(value, where)
    if not 1 <= number < 2**63:
        raise _wrong(value, where, "an id, a whole number from 1")
    return number


def read_number(value: Any, where: str) -> float:
    """A finite number; NaN for `null`.

    Raises:
        InputError: anything else, booleans included.
    """
    if value is None:
        return math.nan
    if type(value) in (int, float) and -1e300 < value < 1e300:
        return float(value)
    raise _wrong(value, where, "a number")


_FLAGS = {"yes": True, "no": False, "true": True, "false": False, "1": True, "0": False, "": False}


def number_field(values: Mapping[str, Any], name: str, where: str) -> float:
    """The number of a field; NaN for `null`.

    Raises:
        InputError: anything except a finite number or `null`.
    """
    value: Any = values.get(name)
    if type(value) in (int, float) and -1e300 < value < 1e300:
        return float(value)
    return read_number(value, f"{where}, field {name!r}")


def read_flag(value: Any, where: str) -> bool:
    """A boolean: true, 1, "yes", "true" and their opposites; `null` is false.

    Raises:
        InputError: anything else.
    """
    if value is None or isinstance(value, bool):
        return bool(value)
    result = _FLAGS.get(value.strip().lower()) if isinstance(value, str) else {0: False, 1: True}.get(value) \
        if type(value) is int else None  # fmt: skip
    if result is None:
        raise _wrong(value, where, "yes or no")
    return result


def build_model(kind: type[_Model], values: Mapping[str, Any], where: str) -> _Model:
    """A validated object of the model.

    Raises:
        InputError: an invalid value, with its field.
    """
    try:
        return kind(**values)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        name = ".".join(map(str, first["loc"]))
        message = first["msg"].removeprefix("Value error, ")
        raise InputError(
            f"{where}, field {name!r}: {message[:1].lower()}{message[1:]}, given {short_repr(first['input'])}: "
            "fix the value or export again"
        ) from error


def _wrong(value: Any, where: str, expected: str) -> InputError:
    return InputError(f"{where}: {short_repr(value)} where {expected} is needed: fix the value or export again")
