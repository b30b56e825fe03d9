"""`InputError`: the exception for bad input from a person, and phrases that its sentences share."""

from __future__ import annotations

import difflib
import re
import traceback
from collections.abc import Iterable

# Words that a person may bring along, and ours for the same thing.
SYNONYMS = {
    "learning_rate": "lr",
    "cuda": "gpu",
    "min": "at_least",
    "max": "at_most",
    "select": "validation",
    "gate": "test",
}
_SYNONYM = re.compile(rf"(?<![a-z])({'|'.join(SYNONYMS)})(?![a-z])")


# What allows code from elsewhere to run: the option of our commands, and that of the pytest plugin.
TRUST_IT = "add --trust (pytest: --rl-trust) if you trust where it comes from"


class InputError(Exception):
    """Bad input, in one sentence: what was given, where, what is allowed, what to do next.

    Commands print it without a stack trace and exit with status 2.
    """


def nearest(name: str, allowed: Iterable[str]) -> str:
    """`did you mean 'x'? ` where a close match exists, else an empty string."""
    choices = [str(choice) for choice in allowed]
    ours = _SYNONYM.sub(lambda match: SYNONYMS[match[1]], str(name))
    close = [ours] if ours in choices else difflib.get_close_matches(str(name), choices, n=1, cutoff=0.5)
    return f"did you mean {close[0]!r}? " if close else ""


def failure(error: BaseException) -> str:
    """An error of foreign code in one line: its class, its text, and the innermost line of its traceback."""
    last = traceback.extract_tb(error.__traceback__, limit=-1)[0]
    try:
        reason = " ".join(str(error).split())
    except Exception:  # its own code may fail too
        reason = ""
    reason = reason if len(reason) <= 300 else f"… {reason[-300:]}"
    return f"{type(error).__name__}{reason and f': {reason}'} ({last.filename}:{last.lineno})"
