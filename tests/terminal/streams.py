"""Text streams that act as a terminal or a pipe, and the text printed to them."""

import io
import re

from rich.console import Console

ESCAPE = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


class TextStream(io.StringIO):
    """A stream of a given kind and encoding."""

    def __init__(self, terminal=False, encoding="utf-8"):
        super().__init__()
        self._terminal, self._encoding = terminal, encoding

    def isatty(self):
        return self._terminal

    @property
    def encoding(self):
        return self._encoding

    def write(self, text):
        text.encode(self._encoding)  # raises, as a real stream would
        return super().write(text)


def rendered(*renderables, width=80, **stream):
    out = TextStream(**stream)
    console = Console(
        file=out, width=width, markup=False, highlight=False, color_system="standard" if out.isatty() else None
    )
    for renderable in renderables:
        console.print(renderable)
    return out.getvalue()
