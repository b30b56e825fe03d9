"""Overrides and shell commands as text that Hydra and the shell read back as the same values."""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

# Text that Hydra's grammar reads as a string without quotes. None is what W&B writes for null.
_PLAIN = re.compile(r"(?!(?:null|true|false|nan|inf|none)\Z)(?:[a-z_/]|\.{1,2}/)[a-z0-9_./-]*", re.A | re.I)
_ESCAPED_IN_KEYS = re.compile(r"[\\()\[\]{}:=, \t]")


def override(key: str, value: Any) -> str:
    """`key=value` in Hydra's grammar, for any value that JSON can hold, and paths."""
    return f"{key}={_value_text(value)}"


def training_command(arguments: Sequence[str]) -> str:
    """The line for a shell that runs `train.py` with these arguments."""
    typed = sys.argv[0] if PurePath(sys.argv[0]).name == "train.py" else "train.py"
    return f"python {' '.join(map(shell_word, [typed, *arguments]))}"


def shell_word(text: object) -> str:
    """A word that bash and zsh read as this text; it stays on one line and survives joined white space."""
    word = str(text)
    if word.isprintable() and "  " not in word:
        return shlex.quote(word)
    plain = re.compile(r"[!-~]")  # ASCII without the space
    escaped = (
        chr(byte) if plain.match(chr(byte)) and byte not in b"\\'" else f"\\x{byte:02x}" for byte in os.fsencode(word)
    )
    return f"$'{''.join(escaped)}'"


def _value_text(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return f"[{','.join(map(_value_text, value))}]"
    if isinstance(value, Mapping):
        return f"{{{','.join(f'{_key_text(str(key))}:{_value_text(item)}' for key, item in value.items())}}}"
    if isinstance(value, str | PurePath):
        return _string_text(str(value))
    return str(value)


def _string_text(text: str) -> str:
    """In double quotes where it needs any. Single ones would make a shell's quotes hard to read."""
    if _PLAIN.fullmatch(text):
        return text
    # OmegaConf resolves ${...} unless an odd number of backslashes is in front of it.
    text = re.sub(r"(\\*)\$\{", r"\1\1\\${", text)
    # In Hydra's grammar a backslash is an escape only before a quote.
    text = re.sub(r'(\\*)"', r'\1\1\\"', text)
    return '"' + re.sub(r"(\\+)\Z", r"\1\1", text) + '"'


def _key_text(key: str) -> str:
    """A key inside braces, where Hydra's grammar knows no quotes."""
    return _ESCAPED_IN_KEYS.sub(r"\\\g<0>", key)
