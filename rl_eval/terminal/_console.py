"""Consoles, table cells and lines that can be printed to any stream."""

from __future__ import annotations

import os
import sys
from typing import IO, Any

from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions
from rich.table import Table
from rich.text import Text

from rl_eval.formatting import display_text, mask_urls
from rl_eval.terminal._wrapping import wrap_words

# A pipe or a file has no width; wide enough for every column, narrow enough to read.
PIPE_WIDTH = 120

# Only a rule below the header, so that a table in a log can be read, copied and split into columns.
_HEAD_RULE = box.Box("    \n    \n -- \n    \n    \n    \n    \n    \n", ascii=True)

_ASCII = str.maketrans({"≥": ">=", "≤": "<=", "…": "...", "±": "+-", "∞": "inf", "━": "#", "─": "-", "·": "-"})


def console_for(stream: IO[str] | None = None, *, stderr: bool = False) -> Console:
    """A console on a stream; the default is the current stdout or stderr.

    Rich itself honours NO_COLOR, FORCE_COLOR and TERM=dumb.
    """
    stream = stream or (sys.stderr if stderr else sys.stdout)
    width = None if is_terminal(stream) or os.environ.get("COLUMNS", "").isdigit() else PIPE_WIDTH
    return Console(file=stream, width=width, markup=False, highlight=False, emoji=False, soft_wrap=False)


def is_terminal(stream: Any) -> bool:
    """Whether the stream is a terminal whose cursor can be moved."""
    try:
        return bool(stream.isatty()) and os.environ.get("TERM", "").lower() not in ("dumb", "unknown")
    except (AttributeError, ValueError):
        return False


def printable(value: object, *, ascii_only: bool) -> str:
    """One line of printable characters that the stream can encode; terminal escapes become `?`, URLs lose secrets."""
    line = " ".join(mask_urls(str(value)).split())
    text = "".join(c if c.isprintable() else "?" for c in line)
    # Lone surrogates, as in undecodable file names, cannot be printed.
    text = text.encode("utf-8", "replace").decode("utf-8")
    return text.translate(_ASCII).encode("ascii", "backslashreplace").decode() if ascii_only else text


def cell(value: object, options: ConsoleOptions, style: str = "") -> Text:
    """Text for a table; it is never markup, and long text is wrapped, not cut."""
    return Text(printable(value, ascii_only=options.ascii_only), style=style, overflow="fold")


def labelled_line(label: str, rest: object, options: ConsoleOptions, style: str) -> Text:
    """A line that begins with a styled label."""
    return Text.assemble((label, style), " ", printable(rest, ascii_only=options.ascii_only))


def print_labelled(console: Console, label: str, rest: object, style: str = "", *, indent: int | None = None) -> None:
    """Print a line that begins with a styled label; on a terminal it is wrapped between words.

    Args:
        indent: of the rows after the first; by default below the rest of the first.
    """
    text = printable(rest, ascii_only=console.options.ascii_only)
    if is_terminal(console.file):
        begin = cell_len(label) + 1
        indent = begin if indent is None else indent
        text = f"\n{' ' * indent}".join(wrap_words(text, console.width - indent, begin - indent))
    console.print(Text.assemble((label, style), " ", text), soft_wrap=True)


def new_table() -> Table:
    """A table with only a rule below its header."""
    return Table(box=_HEAD_RULE, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")


def print_line(value: object, *, stderr: bool = False) -> None:
    """Print a line as it is, blanks included, except for control characters and secrets in URLs."""
    stream = sys.stderr if stderr else sys.stdout
    encoding = getattr(stream, "encoding", None) or "utf-8"
    line = display_text(str(value))
    print(line.encode(encoding, "backslashreplace").decode(encoding), file=stream, flush=True)


def print_error(message: object, *, stream: IO[str] | None = None) -> None:
    """`error: <one sentence>` on stderr."""
    console = console_for(stream, stderr=True)
    console.print(labelled_line("error:", message, console.options, "bold red"), soft_wrap=True)
