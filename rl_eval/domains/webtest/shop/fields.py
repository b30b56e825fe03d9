"""The fields of forms: one table gives both the attributes of the page and the checks of the server."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

_EMAIL = re.compile(r"[\w.+-]+@[\w-]+(\.[\w-]+)+", re.ASCII)


class Field(NamedTuple):
    """One field: what it holds, and what is allowed."""

    name: str
    label: str
    type: str = "text"
    required: bool = True
    longest: int = 80
    least: int = 1
    most: int = 99
    pattern: str = ""
    hint: str = ""


REGISTER = (
    Field("email", "E-mail", "email"),
    Field("password", "Password", "password", pattern=".{8,}", hint="at least 8 characters"),
    Field("name", "Name", longest=60),
)
LOG_IN = (Field("email", "E-mail", "email"), Field("password", "Password", "password"))
PROFILE = (Field("name", "Name", longest=60),)
QUANTITY = (Field("quantity", "Quantity", "number", least=1, most=20),)
COUPON = (Field("code", "Coupon code", longest=20),)
ADDRESS = (
    Field("name", "Name", longest=60), Field("street", "Street"), Field("town", "Town"),
    Field("phone", "Phone", "tel", required=False, pattern=r"[0-9 +\-]{5,20}"),
)  # fmt: skip
DELIVERY = (Field("delivery", "Delivery", "radio"),)
PAYMENT = (Field("card", "Card number", pattern="[0-9 ]{12,23}", longest=23, hint="digits"), Field("holder", "Holder"))
REVIEW = (
    Field("stars", "Stars", "number", least=1, most=5), Field("author", "Your name", longest=60),
    Field("text", "Review", "textarea", longest=500),
)  # fmt: skip
CONTACT = (
    Field("email", "E-mail", "email"), Field("topic", "Topic", longest=60),
    Field("message", "Message", "textarea", longest=500),
)  # fmt: skip
NEWSLETTER = (Field("email", "E-mail", "email"),)
TRACK = (Field("number", "Order number", "number", least=1, most=99999),)


def errors(fields: Sequence[Field], form: Mapping[str, str]) -> dict[str, str]:
    """Field -> what is wrong with its value; empty if the form is right."""
    return {field.name: wrong for field in fields if (wrong := _error(field, form.get(field.name, "").strip()))}


def _error(field: Field, value: str) -> str:
    if not value:
        return f"{field.label} is missing" if field.required else ""
    if field.type == "number":
        if not re.fullmatch(r"-?[0-9]{1,9}", value) or not field.least <= int(value) <= field.most:
            return f"{field.label} is a number from {field.least} to {field.most}"
    elif len(value) > field.longest:
        return f"{field.label} has at most {field.longest} characters"
    if field.type == "email" and not _EMAIL.fullmatch(value):
        return f"{field.label} is no e-mail address"
    if field.pattern and not re.fullmatch(field.pattern, value):
        return f"{field.label} is not valid"
    return ""
