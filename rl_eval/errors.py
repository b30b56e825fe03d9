"""`InputError`: the exception for bad input from a person, and the nearest match to a wrong name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class InputError(Exception):
    """Bad input, said in one sentence: what was given, where, what is allowed, what to do next.

    Commands print it without a stack trace and exit with status 2.
    """


def nearest(name: str, allowed: Iterable[str]) -> str:
    """`did you mean 'x'? ` where a close match exists, else an empty string."""
    close = difflib.get_close_matches(str(name), [str(a) for a in allowed], n=1, cutoff=0.5)
    return f"did you mean {close[0]!r}? " if close else ""
