"""Files that may come from anyone: only regular ones are opened, and YAML is bounded in depth and size."""

from __future__ import annotations

import errno
import os
import stat
from typing import Any

import yaml

MAX_DEPTH = 32
# Characters and 100 for each value, with aliases counted in full: a few lines can mean millions of values.
MAX_SIZE = 2 << 20
_VALUE_SIZE = 100
_CHUNK_BYTES = 1 << 16
MAX_BITS = 512  # of a whole number
_MERGE = "tag:yaml.org,2002:merge"
_TAGS = {f"tag:yaml.org,2002:{name}" for name in ("null", "bool", "int", "float", "str", "seq", "map", "merge")}


def only_regular(path: str, flags: int) -> int:
    """An opener for `open` that refuses what is not a regular file: reading a FIFO or a device may never end.

    A file that it creates is readable by all and writable by its owner, as far as the umask allows.

    Raises:
        OSError: it cannot be opened, or is not a regular file.
    """
    descriptor = os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC, 0o644)
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        kind = errno.EISDIR if stat.S_ISDIR(mode) else errno.EINVAL
        raise OSError(kind, "not a regular file", path)
    return descriptor


def read_bounded(path: str | os.PathLike[str], max_bytes: int) -> bytes:
    """The bytes of a regular file, read once; more than `max_bytes` are not read, and none of a larger file are.

    Raises:
        OSError: it cannot be read, or is not a regular file.
        OverflowError: it is larger.
    """
    with open(path, "rb", opener=only_regular) as file:
        if os.fstat(file.fileno()).st_size <= max_bytes:
            content = bytearray()  # in chunks: `read(max_bytes)` would take that much memory for a small file
            while len(content) <= max_bytes and (chunk := file.read(_CHUNK_BYTES)):
                content += chunk
            if len(content) <= max_bytes:
                return bytes(content)
    raise OverflowError(f"it is larger than {max_bytes >> 20} MiB")


class BoundedLoader(yaml.SafeLoader):
    """YAML of the types of JSON, with text or numbers as keys, bounded in depth and size."""

    max_size = MAX_SIZE

    def __init__(self, text: str):
        super().__init__(text)
        self._depth = 0
        self._measures: dict[int, tuple[int, int]] = {}  # id of a node -> its size and depth

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """A node whose size and depth are allowed."""
        mark = self.peek_event().start_mark
        self._depth += 1
        self._check(self._depth <= MAX_DEPTH, f"it is nested deeper than {MAX_DEPTH} levels", mark)
        node = super().compose_node(parent, index)
        self._depth -= 1
        if node is None:
            return None
        if id(node) not in self._measures:
            self._check(node.end_mark is not None, "a value contains itself", mark)
            self._check(
                node.tag in _TAGS, f"{node.tag.rpartition(':')[2]} is not supported: write text in quotes", mark
            )
            self._measures[id(node)] = self._measure(node)
        size, depth = self._measures[id(node)]
        self._check(size <= self.max_size, f"it expands to more than {self.max_size >> 20} MiB of values", mark)
        self._check(self._depth + depth <= MAX_DEPTH, f"it is nested deeper than {MAX_DEPTH} levels", mark)
        return node

    def _measure(self, node: yaml.Node) -> tuple[int, int]:
        if isinstance(node, yaml.ScalarNode):
            return _VALUE_SIZE + len(node.value), 1
        children = node.value
        if isinstance(node, yaml.MappingNode):
            for key, _ in node.value:
                self._check(isinstance(key, yaml.ScalarNode), "a list or a mapping cannot be a key", key.start_mark)
            children = [child for pair in node.value for child in pair]
        measures = [self._measures[id(child)] for child in children]
        return (
            _VALUE_SIZE + sum(size for size, _ in measures),
            1 + max((depth for _, depth in measures), default=0),
        )

    def _check(self, allowed: bool, problem: str, mark: Any) -> None:
        if not allowed:
            raise yaml.composer.ComposerError(None, None, problem, mark)

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Put what `<<` names into a mapping, without the keys that the mapping has itself."""
        own = [pair for pair in node.value if pair[0].tag != _MERGE]
        super().flatten_mapping(node)
        merged = {key.value: (key, value) for key, value in node.value[: len(node.value) - len(own)]}
        overridden = {key.value for key, _ in own}
        node.value = [pair for name, pair in merged.items() if name not in overridden] + own

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        """A whole number that a float can represent; Python cannot even print much larger ones."""
        value = super().construct_yaml_int(node)
        if value.bit_length() > MAX_BITS:
            raise yaml.constructor.ConstructorError(
                None, None, f"a whole number of more than {MAX_BITS} bits", node.start_mark
            )
        return value


BoundedLoader.add_constructor("tag:yaml.org,2002:int", BoundedLoader.construct_yaml_int)


def load_yaml(text: str, loader: type[BoundedLoader] = BoundedLoader) -> tuple[yaml.Node | None, Any]:
    """The node of a YAML document, and its values; only the types of JSON are ever built.

    Raises:
        yaml.YAMLError: not YAML, not such values, or too deep or large.
    """
    reader = loader(text)
    try:
        node = reader.get_single_node()
        return node, None if node is None else reader.construct_document(node)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError) as error:
        raise yaml.YAMLError(f"a value cannot be read ({type(error).__name__})") from error  # such as `!!int x`
    finally:
        reader.dispose()


def duplicate_key(node: yaml.Node | None) -> tuple[str, int] | None:
    """The first key that a mapping has twice, and its 1-based line; of two, YAML silently takes the last."""
    waiting: list[yaml.Node | None] = [node]
    visited: set[int] = set()
    for node in waiting:  # grows meanwhile
        if node is None or id(node) in visited:
            continue
        visited.add(id(node))
        if isinstance(node, yaml.MappingNode):
            keys: set[str] = set()
            for key, value in node.value:
                if isinstance(key, yaml.ScalarNode):
                    if key.value in keys:
                        return key.value, key.start_mark.line + 1
                    keys.add(key.value)
                waiting.append(value)
        elif isinstance(node, yaml.SequenceNode):
            waiting.extend(node.value)
    return None
