"""YAML with the line of every key, and errors that say it in one sentence."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from rl_eval.errors import InputError, nearest

MAX_BYTES = 1 << 20
Location = Sequence[str | int]


class _Loader(yaml.SafeLoader):
    """YAML 1.1 reads `1e-3` as text; a threshold written that way is a number."""


_Loader.yaml_implicit_resolvers = {first: list(rest) for first, rest in yaml.SafeLoader.yaml_implicit_resolvers.items()}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
)


class Document:
    """One YAML file: `values`, and the line on which each of its keys stands.

    Raises:
        InputError: it cannot be read, is not YAML, is not a mapping, or has a key twice.
    """

    def __init__(self, path: Path, shown: str | None = None):
        self.path, self._shown = path, shown or str(path)
        try:
            if path.stat().st_size > MAX_BYTES:
                raise InputError(f"{self._shown} is larger than {MAX_BYTES >> 20} MiB, so it is not a suite")
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError as error:
            raise InputError(f"{self._shown} does not exist: name a suite, such as suites/threat.yaml") from error
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{self._shown} cannot be read: {error}") from error
        try:
            # a SafeLoader: nothing but plain data is ever built
            self._root = yaml.compose(text, Loader=_Loader)
            self._refuse_repeats(self._root, set())
            self.values = yaml.load(text, Loader=_Loader)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line = f":{mark.line + 1}" if mark else ""
            raise InputError(f"{self._shown}{line}: not valid YAML: {error.problem or error.context}") from error
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            raise InputError(f"{self._shown}: not valid YAML: {' '.join(str(error).split())}") from error
        if not isinstance(self.values, dict):
            raise InputError(f"{self._shown}: a suite is a mapping that begins with `rl_eval: 1`")

    def _refuse_repeats(self, node: yaml.Node | None, seen: set[int]) -> None:
        # YAML lets the last of two equal keys win, which would drop a criterion without a word
        if node is None or id(node) in seen:
            return
        seen.add(id(node))
        if isinstance(node, yaml.MappingNode):
            keys: set[str] = set()
            for key, value in node.value:
                if key.value in keys:
                    line = key.start_mark.line + 1
                    raise InputError(f"{self._shown}:{line}: the key {key.value!r} stands here twice: keep one")
                if isinstance(key, yaml.ScalarNode):
                    keys.add(key.value)
                self._refuse_repeats(value, seen)
        elif isinstance(node, yaml.SequenceNode):
            for value in node.value:
                self._refuse_repeats(value, seen)

    def line(self, location: Location) -> int:
        """The 1-based line of a key path, or of its longest part that is in the file."""
        node, line = self._root, 1
        for part in location:
            found = next((pair for pair in _children(node) if pair[0] == str(part)), None)
            if found is None:
                break
            _, line, node = found
        return line

    def error(self, location: Location, sentence: str) -> InputError:
        """`file:line: key: sentence`, ready to raise."""
        key = ".".join(str(part) for part in location)
        return InputError(f"{self._shown}:{self.line(location)}: {key + ': ' if key else ''}{sentence}")

    def invalid(self, errors: Sequence[Mapping[str, Any]], fields: Mapping[str, Sequence[str]]) -> InputError:
        """The first of pydantic's errors, with line and key.

        Args:
            errors: `ValidationError.errors()`.
            fields: dotted parent key (`*` stands for any name) -> the keys allowed there.
        """
        first = min(errors, key=lambda error: self.line(self._known(error["loc"])))
        location = self._known(first["loc"])
        others = len({self._known(error["loc"]) for error in errors}) - 1  # a union has an error a member
        more = f" ({others} more in this file)" if others else ""
        if first["type"] == "extra_forbidden":
            allowed = _allowed(fields, first["loc"][:-1])
            key = str(first["loc"][-1])
            return self.error(
                first["loc"], f"there is no such key: {nearest(key, allowed)}allowed are {', '.join(allowed)}{more}"
            )
        if first["type"] == "missing":
            return self.error(first["loc"], f"is missing{more}")
        message = first["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
        if message == first["msg"].removeprefix("Value error, "):
            return self.error(location, message + more)
        return self.error(location, f"must be {message}, not {_shown(first['input'])}{more}")

    def _known(self, location: Location) -> tuple[str | int, ...]:
        """Without the tags that pydantic adds for the members of a union."""
        kept: list[str | int] = []
        node = self._root
        for part in location:
            found = next((pair for pair in _children(node) if pair[0] == str(part)), None)
            if found is None:
                break
            kept.append(part)
            node = found[2]
        return tuple(kept)


def _children(node: yaml.Node | None) -> Iterator[tuple[str, int, yaml.Node]]:
    """Name, 1-based line and value of what a node holds."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield str(key.value), key.start_mark.line + 1, value
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield str(index), value.start_mark.line + 1, value


def _allowed(fields: Mapping[str, Sequence[str]], parent: Location) -> Sequence[str]:
    dotted = ".".join(str(part) for part in parent)
    starred = ".".join(str(part) if i == 0 else "*" for i, part in enumerate(parent))
    return fields.get(dotted) or fields.get(starred) or ()


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
