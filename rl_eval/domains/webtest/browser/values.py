"""Values for fields of forms, from typed pools."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote

from rl_eval.domains.webtest.page import ValueKind

# Text that must come back escaped; the attribute says where it was typed.
PROBE = "data-webtest-probe"
LONG = 300  # characters of a text that is too long for a field without a limit
_LONGEST = 5_000
_VALID = {
    "email": "tester@example.com",
    "password": "Passw0rd!2",
    "url": "https://example.com/",
    "tel": "+44 20 7946 0000",
    "date": "2030-05-17",
    "datetime-local": "2030-05-17T12:00",
    "month": "2030-05",
    "week": "2030-W20",
    "time": "12:00",
    "search": "kettle",
}
# What a field holds, by words of its name and label.
_BY_NAME = (
    (r"e-?mail", "tester@example.com"),
    (r"card|credit", "4111 1111 1111 1111"),
    (r"phone|mobile|^tel", "+44 20 7946 0000"),
    (r"post ?code|zip", "12345"),
    (r"url|website|homepage", "https://example.com/"),
    (r"date|birthday", "2030-05-17"),
    (r"user|login", "tester"),
    (r"name|holder|author", "Tina Tester"),
    (r"street|address", "1 High Street"),
    (r"town|city", "Leeds"),
    (r"colou?r", "#336699"),
)
_NO_VALUE_OF_TYPE = {"email": "not an address", "url": "not an address", "tel": "call me", "date": "yesterday"}


@dataclass(frozen=True)
class Field:
    """What a page says about a field; limits are empty or 0 if it says nothing."""

    type: str
    name: str
    label: str = ""
    least: str = ""
    most: str = ""
    longest: int = 0
    shortest: int = 0
    pattern: str = ""
    action: str = ""


def value_for(field: Field, kind: ValueKind, own: Mapping[str, str]) -> str:
    """The value of a kind for a field.

    Args:
        own: valid values of a person, by name of the field.
    """
    if kind == "empty":
        return ""
    if kind == "too_long":
        return "x" * min(field.longest + 1 if field.longest else LONG, _LONGEST)
    if kind == "injection":
        return injection(f"{field.action} {field.name}")
    if kind == "wrong_type":
        return (
            "many" if field.least or field.most or field.type == "number" else _NO_VALUE_OF_TYPE.get(field.type, "???")
        )
    if kind == "boundary":
        return _outside(field)
    return own.get(field.name) or _valid(field)


# Parts of values that no application has of itself.
_MINE = re.compile(
    r"Some text|Tina Tester|1 High Street|tester@example|4111 1111|7946 0000|Passw0rd!2|not an address|x{30}|" + PROBE,
    re.IGNORECASE,
)


def holds_a_value_of_ours(address: str) -> bool:
    """Whether an address was made of what a tester has entered, such as `/issue/Some%20text`."""
    return bool(_MINE.search(unquote(address.replace("+", " "))))


def injection(where: str) -> str:
    """Markup that marks itself where a page takes it in unescaped."""
    safe = re.sub(r"[^\w ./{}-]", "", where)[:80]
    return f'"\'><i {PROBE}="{safe}">7</i>'


def _outside(field: Field) -> str:
    """Just outside the limits of a number, or of the length of a text."""
    if field.least.lstrip("-").isdigit():
        return str(int(field.least) - 1)
    if field.most.lstrip("-").isdigit():
        return str(int(field.most) + 1)
    return "-1" if field.type == "number" else "a" * max(field.shortest - 1, 1)


def _valid(field: Field) -> str:
    if field.type == "number":
        return field.least if re.fullmatch(r"-?\d+(\.\d+)?", field.least) else "1"
    if field.type in _VALID:
        return _VALID[field.type]
    words = f"{field.name} {field.label}".lower().replace("_", " ")
    value = next((value for pattern, value in _BY_NAME if re.search(pattern, words)), "Some text")
    return value[: field.longest] if field.longest else value
