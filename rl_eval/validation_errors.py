"""Errors of pydantic, YAML and Hydra as one sentence each: the key, the value, and the allowed values."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rl_eval.errors import failure, nearest
from rl_eval.formatting import brief

if TYPE_CHECKING:
    import yaml
    from pydantic import ValidationError

KeyPath = tuple[str | int, ...]
# What pydantic calls a type, and what a file calls it.
_TYPES = {
    "a valid dictionary": "a mapping",
    "a valid list": "a list",
    "a valid string": "text",
    "a valid boolean": "true or false",
    "a valid integer": "a whole number",
    "a valid number": "a number",
}
UNKNOWN_KEY = ("extra_forbidden", "unexpected_keyword_argument")


def key_path(error: Mapping[str, Any], values: Any) -> KeyPath:
    """Where a pydantic error is, without the tags that it adds for the members of a union.

    Args:
        error: one of `ValidationError.errors()`.
        values: what was validated.
    """
    location = error["loc"]
    names_a_key = error["type"] in (*UNKNOWN_KEY, "missing")
    path: list[str | int] = []
    for index, part in enumerate(location):
        last = index == len(location) - 1
        try:
            values = values[part]
        except (KeyError, IndexError, TypeError):
            if not (last and names_a_key):
                continue
        path.append(part)
    return tuple(path)


def config_sentence(
    error: ValidationError, values: Mapping[str, Any], prefix: str = "", allowed: Iterable[str] = ()
) -> str:
    """The first error of a config as one sentence.

    Args:
        values: what was validated.
        prefix: the section of the config that it is.
        allowed: the keys of that section.
    """
    first = error.errors()[0]
    path = key_path(first, values)
    key = ".".join(filter(None, [prefix, *map(str, path)]))
    if first["type"] in UNKNOWN_KEY:
        siblings = list(allowed)
        if len(path) > 1:
            section: Any = values
            for part in path[:-1]:
                section = section[part]
            siblings = [name for name in section if name != path[-1]]
        has = f"it has {', '.join(siblings)}" if siblings else ""
        section_name = key.rpartition(".")[0] or "the config"
        return f"{key} is not a key of {section_name}: {nearest(str(path[-1]), siblings)}{has}"
    if first["type"] == "union_tag_invalid":
        key, first["input"] = f"{key}.name", first["ctx"]["tag"]
        first["msg"] = f"choose {first['ctx']['expected_tags'].replace(chr(39), '')}"
    message = first["msg"].removeprefix("Value error, ")
    message = message[:1].lower() + message[1:]
    if first["type"] == "model_type":
        message = "it has keys of its own: set them"
    if not path or first["type"] == "missing":
        return f"{key or 'config'}: {message}"
    return f"{key}={_shortened(first['input'])} is not valid: {message}"


def value_sentence(error: Mapping[str, Any], allowed: Sequence[str] = ()) -> str:
    """One of pydantic's errors without its key, which the caller puts in front.

    Args:
        error: one of `ValidationError.errors()`.
        allowed: the keys of its section, for a key that does not exist.
    """
    if error["type"] in UNKNOWN_KEY:
        key = str(error["loc"][-1])
        if not allowed:
            return f"there is no such key, {_shortened(key)}: remove it"
        return f"there is no such key: {nearest(key, allowed)}allowed are {', '.join(allowed)}"
    if error["type"] == "missing":
        return "is missing"
    message = error["msg"].removeprefix("Value error, ")
    requirement = message.removeprefix("Input should be ")
    if requirement == message:
        return message
    wanted = _TYPES.get(re.split(" or instance of |, unable to parse ", requirement)[0], requirement)
    return f"must be {wanted}, not {_shortened(error['input'])}"


def yaml_sentence(error: yaml.YAMLError) -> tuple[int | None, str]:
    """The 1-based line of a YAML error, where it has one, and what is wrong there."""
    import yaml

    if isinstance(error, yaml.MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
        return mark.line + 1 if mark else None, f"not valid YAML: {error.problem or error.context}"
    return None, f"not valid YAML: {' '.join(str(error).split())}"


def hydra_sentence(error: Exception, keys: Sequence[str]) -> str:
    """An error of composing a config: of Hydra or OmegaConf, or of Python where they are not prepared for a value.

    Args:
        keys: the keys and groups of the default config.
    """
    from hydra.errors import HydraException, MissingConfigException
    from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

    text = str(error)
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        group, _, option = error.missing_cfg_file.rpartition("/")
        options = [name for name in error.options or [] if name]
        if group and options:
            choices = f"{nearest(option, options)}{group} takes {', '.join(options)}"
            return f"{group}={brief(option, 60)} is not an option: {choices}"
    cause = error.__cause__ or error.__context__
    key = str(getattr(error, "full_key", None) or getattr(cause, "full_key", None) or "")
    key = "" if key == "_dummy_" else key  # a node of Hydra's own
    if match := re.search(r"Could not override '([^']+)'|Key '([^']+)' is not in struct", text):
        key = max(key, match[1] or match[2], key=len)
        if key not in keys:
            return f"{brief(key, 60)} is not a key: {nearest(key, keys)}`python train.py --help` lists every key"
    if match := re.search("An item is already at '([^']+)'", text):
        return f"{brief(match[1], 60)} has a value already: remove the +"
    if isinstance(error, MissingMandatoryValue):
        return f"{key or text.rpartition(' ')[2]} has no value: add {key or 'it'}=VALUE"
    if isinstance(error, HydraException | OmegaConfBaseException):
        lines = [line.strip() for line in f"{text}\n{cause or ''}".splitlines()]
        notes = ("full_key:", "reference_type=", "object_type=", "Environment variable")
        shown = " ".join(dict.fromkeys(line for line in lines if line and not line.startswith(notes)))
        return brief(shown if not key or key in shown else f"{key}: {shown}", 400)
    return f"the config cannot be composed ({brief(failure(error), 400)}): remove overrides to find the cause"


def _shortened(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
