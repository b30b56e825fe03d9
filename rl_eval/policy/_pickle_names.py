"""What a pickle names: the modules that it imports from, and its texts. Nothing of it is loaded."""

from __future__ import annotations

import pickletools
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

MAX_OPCODES = 1_000_000
_TEXTS = {"SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "UNICODE"}
# Not read here: names by number (copyreg), and bytes that are outside of the pickle.
_UNREADABLE = {"EXT1", "EXT2", "EXT4", "NEXT_BUFFER", "INST"}


class UnreadablePickleError(ValueError):
    """Bytes that are not a pickle, or a pickle whose names are only known after loading it."""


@dataclass(frozen=True)
class PickleNames:
    """The names of a pickle.

    Attributes:
        imported: (module, name in it) that loading looks up.
        texts: all its text constants, those of `imported` included.
    """

    imported: frozenset[tuple[str, str]] = field(repr=False)
    texts: frozenset[str] = field(repr=False)


def pickle_names(content: bytes) -> PickleNames:
    """The names of one pickle, found by reading its opcodes.

    Raises:
        UnreadablePickleError: not a pickle, more than 1,000,000 opcodes, bytes behind its end, or a name that is
            computed.
    """
    imported: set[tuple[str, str]] = set()
    texts: set[str] = set()
    for name, argument in _opcodes(content):
        if name in _UNREADABLE:
            raise UnreadablePickleError(f"the opcode {name}")
        if name == "GLOBAL":
            module, _, attribute = argument.partition(" ")
            imported.add((module, attribute))
            texts |= {module, attribute}
        elif name == "STACK_GLOBAL":
            imported.add(argument)
        elif name in _TEXTS:
            texts.add(argument)
    return PickleNames(frozenset(imported), frozenset(texts))


def _opcodes(content: bytes) -> Iterator[tuple[str, Any]]:
    """Name and argument of each opcode; the argument of STACK_GLOBAL is the module and the name on top of the stack.

    A pickler writes these two right before it, as texts or from the memo.
    """
    memo: dict[Any, str | None] = {}
    top: list[str | None] = [None, None]  # the two topmost values, None if not text
    end = 0
    try:
        for count, (opcode, argument, position) in enumerate(pickletools.genops(content)):
            if count == MAX_OPCODES:
                raise UnreadablePickleError(f"more than {MAX_OPCODES:,} opcodes")
            end = position or 0
            if opcode.name == "STACK_GLOBAL":
                module, name = top
                if module is None or name is None:
                    raise UnreadablePickleError("a computed name")
                argument = (module, name)
            yield opcode.name, argument
            if opcode.name == "MEMOIZE":
                memo[len(memo)] = top[1]
            elif opcode.name in ("PUT", "BINPUT", "LONG_BINPUT"):
                memo[argument] = top[1]
            elif opcode.name in ("GET", "BINGET", "LONG_BINGET"):
                top = [top[1], memo.get(argument)]
            elif opcode.name in _TEXTS:
                top = [top[1], argument]
            elif opcode.name not in ("FRAME", "PROTO"):
                top = [None, None]
    except UnreadablePickleError:
        raise
    except Exception as error:  # damaged bytes raise anything
        raise UnreadablePickleError(str(error)) from error
    if end + 1 != len(content):
        raise UnreadablePickleError("bytes after its end")
