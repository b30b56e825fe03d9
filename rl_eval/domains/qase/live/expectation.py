"""Expected results of a step: a status, checks of body and headers, values to save. Parsed, never evaluated."""

from __future__ import annotations

import http
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rl_eval.domains.qase.live.template import (
    NAME,
    MissingValueError,
    Placeholder,
    fill_json,
    names_in_json,
    read_json,
)
from rl_eval.domains.qase.model.project import short_repr

MAX_CLAUSES = 40
MAX_EXPECTED = 8192  # characters
MAX_SAVED = 4096  # characters of JSON
_MISSING = object()

_STATUS = re.compile(
    r"(?:(?:http\s+)?(?:status(?:\s+code)?|code|http)\s*(?::|==|=|is)?\s*)?"
    r"([1-5](?:[0-9][0-9]|xx))(?:\s+([a-z' -]+))?\.?",
    re.IGNORECASE | re.ASCII,
)
_PHRASES = {status.phrase.lower() for status in http.HTTPStatus} | {"unprocessable entity", "unprocessable content"}
_PLACE = r"(body(?:\.[A-Za-z_][\w-]*|\[-?\d{1,6}\])*|header\s+[A-Za-z0-9!#$%&'*+.^_`|~-]+|duration)"
_EXISTS = re.compile(_PLACE + r"\s+(exists|not\s+exists|does\s+not\s+exist)", re.ASCII)
_COMPARED = re.compile(_PLACE + r"\s*(==|!=|<=|>=|<|>|\bnot\s+contains\b|\bcontains\b)\s*(.+)", re.ASCII | re.DOTALL)
_SAVE = re.compile(r"save\s+" + _PLACE + r"\s+as\s+(" + NAME + ")", re.ASCII)
_PART = re.compile(r"\.([A-Za-z_][\w-]*)|\[(-?\d+)\]", re.ASCII)
_UNIT = re.compile(r"(\d+(?:\.\d+)?)\s*ms", re.ASCII)
# Strings and brackets are matched whole, so that a comma within a value separates nothing.
_SEPARATOR = re.compile(r'"(?:[^"\\]|\\.)*"|[\[{]|[\]}]|,|;|\n|(?<=\s)and(?=\s)', re.DOTALL)


@dataclass(frozen=True)
class ResponseLocation:
    """A location in a response: `body` and a path in it, one header, or `duration` in ms."""

    text: str
    root: str  # body, header, duration
    path: tuple[str | int, ...] = ()


@dataclass(frozen=True)
class Check:
    """A location compared with a value.

    `how` is `==`, `!=`, `<`, `<=`, `>`, `>=`, `contains`, `not contains`, `exists` or `absent`.
    """

    location: ResponseLocation
    how: str
    value: Any = None


@dataclass(frozen=True)
class Expectation:
    """The expected result of one step.

    Attributes:
        status: `201`, or `2xx` for a class.
        stated: whether the step names a status; if not, `2xx` is expected.
        saves: name -> location whose value is saved for later steps.
    """

    status: str = "2xx"
    stated: bool = False
    checks: tuple[Check, ...] = ()
    saves: tuple[tuple[str, ResponseLocation], ...] = ()

    @property
    def names(self) -> frozenset[str]:
        """Names of saved values that the checks use."""
        return frozenset().union(*(names_in_json(check.value) for check in self.checks))


@dataclass(frozen=True)
class CheckedResponse:
    """A response as checks read it; `body` is the parsed JSON, `is_json` whether there was any."""

    status: int
    headers: Mapping[str, str]
    body: Any
    is_json: bool
    ms: float


def parse_expectation(text: str) -> Expectation:
    """Parse an expected result.

    Raises:
        ValueError: a part that cannot be parsed, in a few words.
    """
    if len(text) > MAX_EXPECTED:
        raise ValueError(f"the expected result has more than {MAX_EXPECTED} characters")
    status: str | None = None
    checks: list[Check] = []
    saves: list[tuple[str, ResponseLocation]] = []
    for clause in _clauses(text):
        if len(checks) + len(saves) >= MAX_CLAUSES:
            raise ValueError(f"the expected result has more than {MAX_CLAUSES} parts")
        match = _STATUS.fullmatch(clause)
        if match and (match[2] is None or match[2].lower() in _PHRASES):
            if status is not None:
                raise ValueError(f"the expected result names two statuses, {status} and {match[1]}")
            status = match[1].lower()
        elif match := _SAVE.fullmatch(clause):
            saves.append((match[2], _location(match[1])))
        elif match := _EXISTS.fullmatch(clause):
            checks.append(Check(_location(match[1]), "exists" if match[2] == "exists" else "absent"))
        elif match := _COMPARED.fullmatch(clause):
            checks.append(_compared(match, clause))
        else:
            raise ValueError(f"the expected result {short_repr(clause)} is neither a status nor a check")
    return Expectation(status or "2xx", status is not None, tuple(checks), tuple(saves))


def _clauses(text: str) -> list[str]:
    clauses, start, depth = [], 0, 0
    for match in _SEPARATOR.finditer(text):
        mark = match[0]
        if mark in "[{":
            depth += 1
        elif mark in "]}":
            depth -= 1
        elif mark[0] != '"' and depth == 0:
            clauses.append(text[start : match.start()])
            start = match.end()
    clauses.append(text[start:])
    return [clause.strip() for clause in clauses if clause.strip()]


def _location(text: str) -> ResponseLocation:
    if text.startswith("header"):
        return ResponseLocation(text, "header", (text.split()[1].lower(),))
    if text == "duration":
        return ResponseLocation(text, "duration")
    parts = tuple(name if name else int(index) for name, index in _PART.findall(text.removeprefix("body")))
    return ResponseLocation(text, "body", parts)


def _compared(match: re.Match[str], clause: str) -> Check:
    location, how, written = _location(match[1]), " ".join(match[2].split()), match[3].strip()
    if location.root == "duration" and (unit := _UNIT.fullmatch(written)):
        written = unit[1]
    try:
        value = read_json(written)
    except ValueError as error:
        raise ValueError(f"the value in {short_repr(clause)} is not JSON: put texts in double quotes") from error
    ordered = how in ("<", "<=", ">", ">=")
    if ordered and not (isinstance(value, str | Placeholder) or _is_number(value)):
        raise ValueError(f"{short_repr(clause)} compares with a value that has no order")
    return Check(location, how, value)


def mismatch(expected: Expectation, response: CheckedResponse, values: Mapping[str, Any]) -> str | None:
    """Why a response does not match, in a few words; None if it matches.

    Raises:
        MissingValueError: a check uses a value that was never saved.
    """
    if not status_matches(expected, response.status):
        return f"status {response.status} where {expected.status} was expected"
    for check in expected.checks:
        if check.location.path and check.location.root == "body" and not response.is_json:
            return f"the body is not JSON, so it has no {check.location.text}"
        value = read_place(check.location, response)
        if check.how in ("exists", "absent"):
            if (value is _MISSING) == (check.how == "exists"):
                return f"{check.location.text} {'is not there' if check.how == 'exists' else 'is there'}"
            continue
        expected_value = fill_json(check.value, values)
        if value is _MISSING:
            return f"{check.location.text} is not there, where {check.how} {_brief(expected_value)} was expected"
        if not _holds(value, check.how, expected_value):
            return f"{check.location.text} is {_brief(value)}, where {check.how} {_brief(expected_value)} was expected"
    return None


def status_matches(expected: Expectation, status: int) -> bool:
    """Whether a status is the expected one."""
    if expected.status.endswith("xx"):
        return status // 100 == int(expected.status[0])
    return status == int(expected.status)


def saved_values(expected: Expectation, response: CheckedResponse) -> dict[str, Any]:
    """The values that a step saves.

    Raises:
        MissingValueError: a location that the response does not have.
    """
    values = {}
    for name, location in expected.saves:
        value = read_place(location, response)
        if value is _MISSING:
            raise MissingValueError(f"{location.text}, to be saved as {name}, is not there")
        if len(json.dumps(value)) > MAX_SAVED:
            raise MissingValueError(f"{location.text} is too large to be saved as {name}")
        values[name] = value
    return values


def read_place(location: ResponseLocation, response: CheckedResponse) -> Any:
    """The value at a location; a marker if there is none.

    `.length` is the length of a list or text, or the number of keys of an object that has no key `length`.
    """
    if location.root == "duration":
        return response.ms
    if location.root == "header":
        return response.headers.get(str(location.path[0]), _MISSING)
    value = response.body if response.is_json else _MISSING
    for part in location.path:
        if isinstance(part, int):
            value = value[part] if isinstance(value, list) and -len(value) <= part < len(value) else _MISSING
        elif isinstance(value, dict) and part in value:
            value = value[part]
        elif part == "length" and isinstance(value, list | str | dict):
            value = len(value)
        else:
            return _MISSING
    return value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _holds(value: Any, how: str, expected: Any) -> bool:
    if how == "==":
        return _equal(value, expected)
    if how == "!=":
        return not _equal(value, expected)
    if how.endswith("contains"):
        return _contains(value, expected) != how.startswith("not")
    if not (_is_number(value) and _is_number(expected)) and not (isinstance(value, str) and isinstance(expected, str)):
        return False
    return {"<": value < expected, "<=": value <= expected, ">": value > expected, ">=": value >= expected}[how]


def _equal(one: Any, other: Any) -> bool:
    """Equality of JSON values; unlike in Python, true is not 1."""
    if _is_number(one) and _is_number(other):
        return bool(one == other)
    if type(one) is not type(other):
        return False
    if isinstance(one, list):
        return len(one) == len(other) and all(map(_equal, one, other))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_equal(value, other[key]) for key, value in one.items())
    return bool(one == other)


def _contains(value: Any, expected: Any) -> bool:
    if isinstance(value, str):
        return isinstance(expected, str) and expected in value
    if isinstance(value, list):
        return any(_equal(entry, expected) for entry in value)
    return isinstance(value, dict) and isinstance(expected, str) and expected in value


def _brief(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=True)
    return text if len(text) <= 80 else text[:79] + "…"
