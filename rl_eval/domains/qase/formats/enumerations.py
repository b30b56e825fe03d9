"""Enumerations of a case, such as severity: slugs in exports, integers over REST. A workspace can edit them.

The meaning of an integer comes only from `GET /v1/system_field`. Unknown values stay text and are noted.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from rl_eval.domains.qase.formats.values import read_integer, read_list, read_object, read_text
from rl_eval.domains.qase.model.notes import Notes
from rl_eval.domains.qase.model.project import short_repr
from rl_eval.errors import InputError

KNOWN_VALUES: dict[str, tuple[str, ...]] = {
    "severity": ("undefined", "blocker", "critical", "major", "normal", "minor", "trivial"),
    "priority": ("undefined", "high", "medium", "low"),
    "type": (
        "other", "smoke", "regression", "security", "usability", "performance", "acceptance", "functional",
        "compatibility", "integration", "exploratory",
    ),
    "behavior": ("undefined", "positive", "negative", "destructive"),
    "layer": ("unknown", "e2e", "api", "unit"),
    "automation": ("is-not-automated", "to-be-automated", "automated"),
    "status": ("actual", "draft", "deprecated"),
}  # fmt: skip
DEFAULT_VALUES = {
    "severity": "undefined", "priority": "undefined", "type": "other", "behavior": "undefined", "layer": "unknown",
    "automation": "is-not-automated", "status": "actual",
}  # fmt: skip
Options = Mapping[str, Mapping[int, str]]  # field -> id -> slug


def read_options(response: Any, where: str) -> dict[str, dict[int, str]]:
    """The enumerations of a workspace, from the response of `GET /v1/system_field`.

    Raises:
        InputError: another form, or a duplicate id.
    """
    fields = read_object(response, where).get("result")
    if isinstance(fields, dict):  # some responses are pages
        fields = fields.get("entities")
    enumerations: dict[str, dict[int, str]] = {}
    for i, entry in enumerate(read_list(fields, f"{where}, result")):
        here = f"{where}, result[{i}]"
        values = read_object(entry, here)
        slug = read_text(values.get("slug"), f"{here}.slug")
        if slug not in KNOWN_VALUES:
            continue
        options: dict[int, str] = {}
        for j, option in enumerate(read_list(values.get("options"), f"{here}.options")):
            at = f"{here}.options[{j}]"
            key = read_integer(read_object(option, at).get("id"), f"{at}.id")
            name = read_text(option.get("slug"), f"{at}.slug") or read_text(option.get("title"), f"{at}.title")
            if not name:
                raise InputError(f"{at} has neither slug nor title: save the response of /v1/system_field again")
            if key in options:
                raise InputError(f"{at}: the id {key} of {slug} is used twice: save /v1/system_field again")
            options[key] = slug_of(slug, name)
        enumerations[slug] = options
    if not enumerations:
        raise InputError(
            f"{where} names none of {', '.join(KNOWN_VALUES)}: save the response of /v1/system_field again"
        )
    return enumerations


def slug_of(name: str, written: str) -> str:
    """The slug of a known value in any spelling (`To be automated`); any other text unchanged."""
    slug = re.sub(r"[\s_-]+", "-", written.strip().lower())
    return slug if slug in KNOWN_VALUES[name] else written


def read_value(name: str, value: Any, options: Options | None, where: str, notes: Notes) -> str:
    """The slug of one enumeration value.

    Args:
        name: severity, priority, type, behavior, layer, automation or status.
        value: a slug, or an integer of the workspace.
        options: what the integers mean; None if unknown.

    Raises:
        InputError: neither text nor a whole number.
    """
    if type(value) is str and value in KNOWN_VALUES[name]:
        return value
    if value is None or value == "":
        notes.add(f"no {name}: read as {DEFAULT_VALUES[name]}", where)
        return DEFAULT_VALUES[name]
    at = f"{where}, field {name!r}"
    if isinstance(value, str) and not (value.isascii() and value.strip().isdigit()):
        slug = slug_of(name, value)
        if slug not in KNOWN_VALUES[name]:
            custom_slugs = (options or {}).get(name, {}).values()
            if slug not in custom_slugs:
                notes.add(f"{name} {short_repr(value)} is not known: kept as text", where)
        return slug
    key = read_integer(value, at)
    if options is None or name not in options:
        notes.add(f"{name} {key} is a number that no system_field explains: kept as text", where)
        return str(key)
    if key not in options[name]:
        notes.add(f"{name} {key} is not in the workspace's system_field: kept as text", where)
        return str(key)
    return options[name][key]
