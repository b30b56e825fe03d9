"""Values that fit a JSON schema of OpenAPI 3, and values of another type."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rl_eval.domains.qase.openapi.document import Document

MAX_DEPTH = 12
MAX_VALUES = 1000  # of an example; a few schemas that refer to one another can mean billions
MAX_LENGTH = 4096  # of a text or a list
_TEXTS = {
    "date": "2026-01-31",
    "date-time": "2026-01-31T12:00:00Z",
    "time": "12:00:00Z",
    "email": "ann@example.org",
    "uuid": "123e4567-e89b-42d3-a456-426614174000",
    "uri": "https://example.org/",
    "url": "https://example.org/",
    "hostname": "example.org",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "byte": "dGV4dA==",
    "password": "Correct-Horse-7",
}


class NoExampleError(Exception):
    """No value can be made for a schema; in a few words."""


@dataclass
class _Budget:
    """The values that an example may still have."""

    left: int = MAX_VALUES

    def spend(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise NoExampleError(f"an example of more than {MAX_VALUES} values")


def example(document: Document, schema: Mapping[str, Any], where: str) -> Any:
    """A value that fits a schema: its own example, else one made by type, format and bounds.

    An object has its required properties, or all of them if none is required.

    Raises:
        NoExampleError: a pattern without an example, a schema that contains itself, one without a value, or an example
            that is too large.
        InputError: a broken reference.
    """
    return _example(document, schema, where, 0, _Budget())


def _example(document: Document, schema: Mapping[str, Any], where: str, depth: int, budget: _Budget) -> Any:
    budget.spend()
    if depth > MAX_DEPTH:
        raise NoExampleError("a schema that contains itself")
    schema = merged(document, schema, where)
    for key in ("example", "default", "const"):
        if key in schema:
            return schema[key]
    for key in ("examples", "enum"):
        if isinstance(schema.get(key), list) and schema[key]:
            return schema[key][0]
    kind = type_of(schema)
    if kind == "object":
        names = required(schema) or list(properties(schema))
        return {
            name: _example(document, properties(schema)[name], f"{where}, {name}", depth + 1, budget)
            for name in names
            if name in properties(schema)
        }
    if kind == "array":
        count = max(_bound(schema, "minItems", 1), 1)
        items = schema.get("items")
        item = _example(document, items if isinstance(items, dict) else {}, f"{where}, items", depth + 1, budget)
        return [item] * min(count, MAX_LENGTH)
    if kind == "boolean":
        return True
    if kind in ("integer", "number"):
        try:
            return _number(schema, whole=kind == "integer")
        except (OverflowError, ValueError) as error:  # infinite, or NaN, on the way
            raise NoExampleError("no number is between its bounds") from error
    if kind == "null":
        return None
    return _text(schema)


def wrong_type(document: Document, schema: Mapping[str, Any], where: str) -> Any:
    """A value of a type that a schema does not allow; an object where a text is expected, else a text.

    Raises:
        NoExampleError: the schema allows any type.
    """
    kind = type_of(merged(document, schema, where))
    if kind is None:
        raise NoExampleError("any type is allowed")
    return {"wrong": "type"} if kind == "string" else "wrong type"


def merged(document: Document, schema: Mapping[str, Any], where: str) -> Mapping[str, Any]:
    """A schema behind its reference, with all of `allOf` and the first of `oneOf` and `anyOf` that is not null."""
    schema = document.resolve(dict(schema), where)
    for _ in range(MAX_DEPTH):
        parts = [*_list(schema, "allOf"), *_first_of(document, schema, where)]
        if not parts:
            return schema
        whole = {key: value for key, value in schema.items() if key not in ("allOf", "oneOf", "anyOf")}
        for part in parts:
            whole = _joined(whole, document.resolve(part, where))
        schema = whole
    raise NoExampleError("a schema that contains itself")


def _first_of(document: Document, schema: Mapping[str, Any], where: str) -> list[Any]:
    for key in ("oneOf", "anyOf"):
        choices = _list(schema, key)
        if choices:
            typed = [choice for choice in choices if document.resolve(choice, where).get("type") != "null"]
            return [(typed or choices)[0]]
    return []


def _joined(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    whole = {**one, **other}
    if properties(one) or properties(other):
        whole["properties"] = {**properties(one), **properties(other)}
    if required(one) or required(other):
        whole["required"] = [*required(one), *(name for name in required(other) if name not in required(one))]
    return whole


def type_of(schema: Mapping[str, Any]) -> str | None:
    """The type of a schema, the first that is not null; None if it allows any."""
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = next((one for one in kind if one != "null"), "null")
    if isinstance(kind, str):
        return kind
    return "object" if properties(schema) else None


def properties(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """The schemas of an object's properties, by name."""
    values = schema.get("properties")
    return (
        {name: value for name, value in values.items() if isinstance(value, dict)} if isinstance(values, dict) else {}
    )


def required(schema: Mapping[str, Any]) -> list[str]:
    """The names of the required properties."""
    return [name for name in _list(schema, "required") if isinstance(name, str)]


def _list(schema: Mapping[str, Any], key: str) -> list[Any]:
    values = schema.get(key)
    return values if isinstance(values, list) else []


def _bound(schema: Mapping[str, Any], key: str, default: int) -> int:
    value = schema.get(key)
    return value if type(value) is int and value >= 0 else default


def _number(schema: Mapping[str, Any], *, whole: bool) -> float:
    step = schema.get("multipleOf")
    step = step if isinstance(step, int | float) and step > 0 else 1
    low, high = (schema.get(key) for key in ("minimum", "maximum"))
    above, below = (schema.get(key) for key in ("exclusiveMinimum", "exclusiveMaximum"))
    if isinstance(above, int | float) and not isinstance(above, bool):  # a number in 3.1, a flag in 3.0
        low, above = above, True
    if isinstance(below, int | float) and not isinstance(below, bool):
        high, below = below, True
    value = step
    if isinstance(low, int | float):
        value = max(value, math.ceil(low / step) * step)
        value += step if above is True and value <= low else 0
    if isinstance(high, int | float) and (value > high or (below is True and value >= high)):
        value = math.floor(high / step) * step
        value -= step if below is True and value >= high else 0
        if isinstance(low, int | float) and (value < low or (above is True and value <= low)):
            value = (low + high) / 2
            if whole and value != round(value):
                raise NoExampleError("no whole number is between its bounds")
    return int(value) if whole else value


def _text(schema: Mapping[str, Any]) -> str:
    if "pattern" in schema:
        raise NoExampleError("a text with a pattern and no example")
    text = _TEXTS.get(str(schema.get("format")), "text")
    shortest, longest = _bound(schema, "minLength", 0), _bound(schema, "maxLength", MAX_LENGTH)
    if shortest > MAX_LENGTH:
        raise NoExampleError(f"a text of more than {MAX_LENGTH} characters")
    return text.ljust(shortest, "x")[:longest]
