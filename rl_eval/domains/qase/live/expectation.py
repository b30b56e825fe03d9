"""What a step expects of an answer: a status, checks of body and headers, values to save. Parsed, never evaluated."""

from __future__ import annotations

import http
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rl_eval.domains.qase.live.template import NAME, MissingValueError, fill_json, names_in_json, read_json
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
# Strings are skipped whole, and so are brackets, so that a comma within a value parts nothing.
_SEPARATOR = re.compile(r'"(?:[^"\\]|\\.)*"|[\[{]|[\]}]|,|;|\n|(?<=\s)and(?=\s)', re.DOTALL)


@dataclass(frozen=True)
class Place:
    """Somewhere in an answer: `body` and a path in it, one header, or `duration` in ms."""

    text: str
    root: str  # body, header, duration
    path: tuple[str | int, ...] = ()


@dataclass(frozen=True)
class Check:
    """A place compared with a value.

    `how` is `==`, `!=`, `<`, `<=`, `>`, `>=`, `contains`, `not contains`, `exists` or `absent`.
    """

    place: Place
    how: str
    value: Any = None


@dataclass(frozen=True)
class Expectation:
    """What one step expects.

    Attributes:
        status: `201`, or `2xx` for a class.
        stated: whether the step names the status; where it does not, `2xx` is expected.
        saves: name -> the place whose value is kept for later steps.
    """

    status: str = "2xx"
    stated: bool = False
    checks: tuple[Check, ...] = ()
    saves: tuple[tuple[str, Place], ...] = ()

    @property
    def names(self) -> frozenset[str]:
        """The names of earlier values that it asks for."""
        return frozenset().union(*(names_in_json(check.value) for check in self.checks))


@dataclass(frozen=True)
class CheckedResponse:
    """An answer as checks see it; `body` is what the JSON says, `is_json` whether there was any."""

    status: int
    headers: Mapping[str, str]
    body: Any
    is_json: bool
    ms: float


def parse_expectation(text: str) -> Expectation:
    """The expectation that a text states.

    Raises:
        ValueError: a part of it is not understood, in a few words.
    """
    if len(text) > MAX_EXPECTED:
        raise ValueError(f"the expected result has more than {MAX_EXPECTED} characters")
    status: str | None = None
    checks: list[Check] = []
    saves: list[tuple[str, Place]] = []
    for clause in _clauses(text):
        if len(checks) + len(saves) >= MAX_CLAUSES:
            raise ValueError(f"the expected result has more than {MAX_CLAUSES} parts")
        match = _STATUS.fullmatch(clause)
        if match and (match[2] is None or match[2].lower() in _PHRASES):
            if status is not None:
                raise ValueError(f"the expected result names two statuses, {status} and {match[1]}")
            status = match[1].lower()
        elif match := _SAVE.fullmatch(clause):
            saves.append((match[2], _place(match[1])))
        elif match := _EXISTS.fullmatch(clause):
            checks.append(Check(_place(match[1]), "exists" if match[2] == "exists" else "absent"))
        elif match := _COMPARED.fullmatch(clause):
            checks.append(_compared(match, clause))
        else:
            raise ValueError(f"the expected result {short_repr(clause)} is neither a status nor a check")
    return Expectation(status or "2xx", status is not None, tuple(checks), tuple(saves))


def _clauses(text: str) -> list[str]:
    found, start, depth = [], 0, 0
    for match in _SEPARATOR.finditer(text):
        mark = match[0]
        if mark in "[{":
            depth += 1
        elif mark in "]}":
            depth -= 1
        elif mark[0] != '"' and depth == 0:
            found.append(text[start : match.start()])
            start = match.end()
    found.append(text[start:])
    return [clause.strip() for clause in found if clause.strip()]


def _place(text: str) -> Place:
    if text.startswith("header"):
        return Place(text, "header", (text.split()[1].lower(),))
    if text == "duration":
        return Place(text, "duration")
    parts = tuple(name if name else int(index) for name, index in _PART.findall(text.removeprefix("body")))
    return Place(text, "body", parts)


def _compared(match: re.Match[str], clause: str) -> Check:
    place, how, written = _place(match[1]), " ".join(match[2].split()), match[3].strip()
    if place.root == "duration" and (unit := _UNIT.fullmatch(written)):
        written = unit[1]
    try:
        value = read_json(written)
    except ValueError as error:
        raise ValueError(f"the value in {short_repr(clause)} is not JSON: texts stand in double quotes") from error
    ordered = how in ("<", "<=", ">", ">=")
    if ordered and not (isinstance(value, str) or _is_number(value)):
        raise ValueError(f"{short_repr(clause)} compares with something that has no order")
    return Check(place, how, value)


def mismatch(expected: Expectation, seen: CheckedResponse, values: Mapping[str, Any]) -> str | None:
    """Why an answer is not what was expected, in a few words; None where it is.

    Raises:
        UnfilledError: a check asks for a value that was never saved.
    """
    if not status_matches(expected, seen.status):
        return f"status {seen.status} where {expected.status} was expected"
    for check in expected.checks:
        if check.place.path and check.place.root == "body" and not seen.is_json:
            return f"the body is not JSON, and {check.place.text} was asked of it"
        found = read_place(check.place, seen)
        if check.how in ("exists", "absent"):
            if (found is _MISSING) == (check.how == "exists"):
                return f"{check.place.text} {'is not there' if check.how == 'exists' else 'is there'}"
            continue
        wanted = fill_json(check.value, values)
        if found is _MISSING:
            return f"{check.place.text} is not there, where {check.how} {_brief(wanted)} was expected"
        if not _holds(found, check.how, wanted):
            return f"{check.place.text} is {_brief(found)}, where {check.how} {_brief(wanted)} was expected"
    return None


def status_matches(expected: Expectation, status: int) -> bool:
    """Whether a status is the expected one."""
    if expected.status.endswith("xx"):
        return status // 100 == int(expected.status[0])
    return status == int(expected.status)


def saved_values(expected: Expectation, seen: CheckedResponse) -> dict[str, Any]:
    """The values that a step keeps.

    Raises:
        UnfilledError: a place that the answer does not have.
    """
    found = {}
    for name, place in expected.saves:
        value = read_place(place, seen)
        if value is _MISSING:
            raise MissingValueError(f"{place.text}, to be saved as {name}, is not there")
        if len(json.dumps(value)) > MAX_SAVED:
            raise MissingValueError(f"{place.text} is too large to be saved as {name}")
        found[name] = value
    return found


def read_place(place: Place, seen: CheckedResponse) -> Any:
    """What stands at a place; a marker where nothing does.

    `.length` counts the entries of a list, the letters of a text or the keys of an object, where the object has no
    key of that name.
    """
    if place.root == "duration":
        return seen.ms
    if place.root == "header":
        return seen.headers.get(str(place.path[0]), _MISSING)
    at = seen.body if seen.is_json else _MISSING
    for part in place.path:
        if isinstance(part, int):
            at = at[part] if isinstance(at, list) and -len(at) <= part < len(at) else _MISSING
        elif isinstance(at, dict) and part in at:
            at = at[part]
        elif part == "length" and isinstance(at, list | str | dict):
            at = len(at)
        else:
            return _MISSING
    return at


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _holds(found: Any, how: str, wanted: Any) -> bool:
    if how == "==":
        return _equal(found, wanted)
    if how == "!=":
        return not _equal(found, wanted)
    if how.endswith("contains"):
        return _contains(found, wanted) != how.startswith("not")
    if not (_is_number(found) and _is_number(wanted)) and not (isinstance(found, str) and isinstance(wanted, str)):
        return False
    return {"<": found < wanted, "<=": found <= wanted, ">": found > wanted, ">=": found >= wanted}[how]


def _equal(one: Any, other: Any) -> bool:
    """Equality of JSON: true is not 1, as it is in Python."""
    if _is_number(one) and _is_number(other):
        return bool(one == other)
    if type(one) is not type(other):
        return False
    if isinstance(one, list):
        return len(one) == len(other) and all(map(_equal, one, other))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_equal(value, other[key]) for key, value in one.items())
    return bool(one == other)


def _contains(found: Any, wanted: Any) -> bool:
    if isinstance(found, str):
        return isinstance(wanted, str) and wanted in found
    if isinstance(found, list):
        return any(_equal(entry, wanted) for entry in found)
    return isinstance(found, dict) and isinstance(wanted, str) and wanted in found


def _brief(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=True)
    return text if len(text) <= 80 else text[:79] + "…"
