"""Sentences and commands broken into rows of a terminal, between words."""

from __future__ import annotations

import re

from rich.cells import cell_len

# A command in backticks stays in one piece, so that it can be copied.
_WORD = re.compile(r"[^\s`]*`[^`]*`\S*|\S+")
# A word of a shell: quoted parts may hold blanks.
_SHELL_WORD = re.compile(r"(?:'[^']*'|\"(?:\\.|[^\"\\])*\"|\\.|[^\s'\"\\])+")
CONTINUATION = " \\"


def wrap_words(text: str, width: int, taken: int = 0) -> list[str]:
    """Rows of at most `width` cells; a word or a command in backticks that is longer has a row of its own.

    Args:
        taken: cells of the first row that are not free.
    """
    return _filled(_WORD.findall(text), width, taken)


def wrap_command(command: str, width: int) -> list[str]:
    """A command of a shell in rows that end with a backslash, so that it can be copied."""
    rows = _filled(_SHELL_WORD.findall(command), width - len(CONTINUATION), 0)
    return [row + CONTINUATION for row in rows[:-1]] + rows[-1:]


def _filled(words: list[str], width: int, taken: int) -> list[str]:
    rows = [""]
    for word in words:
        filled = cell_len(rows[-1]) + (taken if len(rows) == 1 else 0)
        if not rows[-1] and (filled == 0 or filled + cell_len(word) <= width):
            rows[-1] = word
        elif rows[-1] and filled + 1 + cell_len(word) <= width:
            rows[-1] += f" {word}"
        else:
            rows.append(word)
    return rows
