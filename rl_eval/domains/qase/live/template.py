"""Fill `{{name}}` in texts and JSON bodies with values saved from earlier responses."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from rl_eval.domains.qase.model.project import short_repr

NAME = r"[A-Za-z_]\w{0,63}"
_HOLE = re.compile(r"\{\{\s*(" + NAME + r")\s*\}\}", re.ASCII)
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|\{\{\s*(' + NAME + r")\s*\}\}", re.ASCII | re.DOTALL)
_LITERAL = re.compile(r"true|false|null|-?(?:0|[1-9][0-9]{0,17})(?:\.[0-9]{1,17})?")
_MARK = "\x00"
MAX_DEPTH = 60  # of a JSON body
MAX_HOLES = 200


class MissingValueError(ValueError):
    """A name without a saved value, or a value that does not fit its place; in a few words."""


@dataclass(frozen=True)
class Placeholder:
    """A `{{name}}` of a JSON body that is outside quotes, for a value that keeps its type."""

    name: str


class ParameterText(str):
    """A parameter's value as written: outside quotes, a number or boolean is used as such."""

    def as_json(self) -> Any:
        """`2` as 2, `true` as True, anything else as text."""
        return json.loads(self) if _LITERAL.fullmatch(self) else str(self)


def names_in_text(text: str) -> frozenset[str]:
    """The `{{names}}` in a text."""
    return frozenset(_HOLE.findall(text)) if "{{" in text else frozenset()


def fill_text(text: str, values: Mapping[str, Any], escape: Callable[[str], str] = str) -> str:
    """A text with its `{{names}}` filled.

    Args:
        escape: applied to each value.

    Raises:
        MissingValueError: a name without a value, or with one that is neither text nor number.
    """
    if "{{" not in text:
        return text
    return _HOLE.sub(lambda match: escape(as_text(value_of(match[1], values), match[1])), text)


def value_of(name: str, values: Mapping[str, Any]) -> Any:
    """The value saved under a name.

    Raises:
        MissingValueError: there is none.
    """
    if name not in values:
        raise MissingValueError(f"nothing was saved as {name}")
    return values[name]


def as_text(value: Any, name: str) -> str:
    """A value as part of a text.

    Raises:
        MissingValueError: a list, an object or null.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    raise MissingValueError(f"{name} is {short_repr(value)}, which cannot be part of a text")


def read_json(text: str) -> Any:
    """Parse JSON where `{{name}}` may also appear outside quotes, as a `Placeholder`.

    Raises:
        ValueError: invalid JSON, or a duplicate key.
    """
    marked = "{{" in text
    if marked:
        # The mark makes a placeholder a string for the parser, so no other string may hold it.
        if "\\u0000" in text or _MARK in text:
            raise ValueError("a NUL character")
        if len(_HOLE.findall(text)) > MAX_HOLES:
            raise ValueError(f"more than {MAX_HOLES} {{{{names}}}}")
        text = _TOKEN.sub(lambda match: f'"\\u0000{match[1]}"' if match[1] else match[0], text)
    if not _shallow(text):
        raise ValueError(f"nested more than {MAX_DEPTH} deep")
    value = json.loads(text, object_pairs_hook=_object, parse_constant=_constant, parse_int=_parse_int)
    return _with_placeholders(value) if marked else value


def fill_json(value: Any, values: Mapping[str, Any]) -> Any:
    """The result of `read_json` with its `{{names}}` filled.

    Raises:
        MissingValueError: as `fill_text`.
    """
    if isinstance(value, Placeholder):
        saved = value_of(value.name, values)
        return saved.as_json() if isinstance(saved, ParameterText) else saved
    if isinstance(value, str):
        return fill_text(value, values)
    if isinstance(value, list):
        return [fill_json(entry, values) for entry in value]
    if isinstance(value, dict):
        return {fill_text(key, values): fill_json(entry, values) for key, entry in value.items()}
    return value


def names_in_json(value: Any) -> frozenset[str]:
    """The `{{names}}` in the result of `read_json`."""
    if isinstance(value, Placeholder):
        return frozenset({value.name})
    if isinstance(value, str):
        return names_in_text(value)
    if isinstance(value, list):
        return frozenset().union(*map(names_in_json, value))
    if isinstance(value, dict):
        return frozenset().union(*map(names_in_text, value), *map(names_in_json, value.values()))
    return frozenset()


def _with_placeholders(value: Any) -> Any:
    if isinstance(value, str):
        return Placeholder(value[1:]) if value.startswith(_MARK) else value
    if isinstance(value, list):
        return [_with_placeholders(entry) for entry in value]
    if isinstance(value, dict):
        return {key: _with_placeholders(entry) for key, entry in value.items()}
    return value


def _shallow(text: str) -> bool:
    depth = 0
    for match in re.finditer(r'"(?:[^"\\]|\\.)*"|[\[{\]}]', text, re.DOTALL):
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(match[0], 0)
        if depth > MAX_DEPTH:
            return False
    return True


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a key appears twice in one object")
    return result


def _constant(name: str) -> float:
    raise ValueError(f"{name} is not a number of JSON")


def _parse_int(digits: str) -> int:
    if len(digits) > 40:
        raise ValueError("a number of more than 40 digits")
    return int(digits)
