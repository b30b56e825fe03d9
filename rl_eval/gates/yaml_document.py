"""YAML files with the line of every key, so that errors can name file, line and key."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from rl_eval.errors import InputError
from rl_eval.formatting import brief
from rl_eval.untrusted_files import BoundedLoader, duplicate_key, load_yaml, only_regular
from rl_eval.validation_errors import key_path, value_sentence, yaml_sentence

MAX_BYTES = 128 << 10


class _Loader(BoundedLoader):
    """YAML 1.1 reads `1e-3` as text; a threshold written that way is a number."""


_Loader.yaml_implicit_resolvers = {first: list(rest) for first, rest in BoundedLoader.yaml_implicit_resolvers.items()}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
)


class YamlDocument:
    """YAML that is a mapping: `values`, and the line of each of its keys.

    Args:
        text: the YAML.
        label: how messages name it.

    Raises:
        InputError: it is not YAML, is not a mapping, or has a duplicate key.
    """

    def __init__(self, text: str, label: str):
        self.text, self._label = text, label
        try:
            self._root, self.values = load_yaml(text, _Loader)
        except yaml.YAMLError as error:
            line, sentence = yaml_sentence(error)
            raise InputError(f"{self._label}{f':{line}' if line else ''}: {sentence}") from error
        # In YAML the last of two equal keys wins silently, which would drop a criterion.
        if duplicate := duplicate_key(self._root):
            key, at = duplicate
            raise InputError(f"{self._label}:{at}: duplicate key {brief(repr(key), 80)}: keep one")
        if not isinstance(self.values, dict):
            raise InputError(f"{self._label}: a suite is a mapping that begins with `rl_eval: 1`")

    @classmethod
    def read(cls, path: Path, label: str | None = None) -> YamlDocument:
        """The document of a file.

        Args:
            label: how messages name it; default: the path.

        Raises:
            InputError: it cannot be read, is too large, or as for a text.
        """
        label = label or str(path)
        try:
            with open(path, encoding="utf-8", opener=only_regular) as file:
                text = file.read(MAX_BYTES + 1)
        except FileNotFoundError as error:
            raise InputError(f"{label} does not exist: name a suite, such as suites/NAME.yaml") from error
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{label} cannot be read: {error}") from error
        if len(text) > MAX_BYTES:
            raise InputError(f"{label} is larger than {MAX_BYTES >> 10} KiB, so it is not a suite")
        return cls(text, label)

    def line(self, path: Sequence[str | int]) -> int:
        """The 1-based line of a key path, or of its longest part that is in the file."""
        node, line = self._root, 1
        for part in path:
            child = next((child for child in _children(node) if child[0] == str(part)), None)
            if child is None:
                break
            _, line, node = child
        return line

    def error(self, path: Sequence[str | int], sentence: str) -> InputError:
        """`file:line: key: sentence`, ready to raise."""
        key = ".".join(brief(str(part), 80) for part in path)
        return InputError(f"{self._label}:{self.line(path)}: {key + ': ' if key else ''}{sentence}")

    def invalid(self, errors: Sequence[Mapping[str, Any]], fields: Mapping[str, Sequence[str]]) -> InputError:
        """The first of pydantic's errors, with line and key.

        Args:
            errors: `ValidationError.errors()`.
            fields: dotted parent key (`*` means any name) -> the keys allowed there.
        """
        paths = [key_path(error, self.values) for error in errors]
        index = min(range(len(errors)), key=lambda number: self.line(paths[number]))
        further = len(set(paths)) - 1  # a union has an error for each member
        more = f" ({further} more in this file)" if further else ""
        sentence = value_sentence(errors[index], _allowed(fields, errors[index]["loc"][:-1]))
        return self.error(paths[index], sentence + more)


def _children(node: yaml.Node | None) -> Iterator[tuple[str, int, yaml.Node]]:
    """Name, 1-based line and value of each child of a node."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield str(key.value), key.start_mark.line + 1, value
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield str(index), value.start_mark.line + 1, value


def _allowed(fields: Mapping[str, Sequence[str]], parent: Sequence[str | int]) -> Sequence[str]:
    dotted = ".".join(str(part) for part in parent)
    starred = ".".join(str(part) if i == 0 else "*" for i, part in enumerate(parent))
    return fields.get(dotted) or fields.get(starred) or ()
