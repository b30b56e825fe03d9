"""`InputError`: the exception for bad input from a person, and phrases that its sentences share."""

from __future__ import annotations

import traceback
from collections.abc import Iterable, Sequence

from rl_eval.synonyms import SYNONYMS, synonyms

_MAX_NAME = 80  # characters of a name that are compared


# What allows code from elsewhere to run: the option of our commands, and that of the pytest plugin.
TRUST_IT = "add --trust (pytest: --rl-trust) if you trust where it comes from"


class InputError(Exception):
    """Bad input, in one sentence: what was given, where, what is allowed, what to do next.

    Commands print it without a stack trace and exit with status 2.
    """


def nearest(name: str, allowed: Iterable[str]) -> str:
    """`did you mean 'x'? ` where one of the allowed names is close, or means the same elsewhere; else empty."""
    close = nearest_name(str(name), [str(choice) for choice in allowed])
    return f"did you mean {close!r}? " if close else ""


def nearest_name(name: str, choices: Sequence[str]) -> str | None:
    """The choice that a person meant: by another word for it, by its beginning, or by few typing errors.

    Dotted keys are compared whole, and by their last part where only one key has it.
    """
    if len(name) > _MAX_NAME:
        return None
    section, dot, last = name.rpartition(".")
    for variant in (last, *synonyms(last), _ours_for_parts(last)):
        for whole in (f"{section}{dot}{variant}", f"{_ours_for_parts(section)}{dot}{variant}"):
            if whole in choices:
                return whole
        same = [choice for choice in choices if choice == variant or choice.endswith(f".{variant}")]
        if len(same) == 1:
            return same[0]
    if len(name) >= 3 and (longer := [choice for choice in choices if choice.startswith(name)]):
        return min(reversed(longer), key=len)  # of two versions of an id, the later one
    errors = min(max(1, len(last) // 4), len(last) - 1)
    distance = {
        choice: _edits(name, (choice if dot else choice.rpartition(".")[2])[:_MAX_NAME], errors) for choice in choices
    }
    close = min(distance, key=lambda choice: (distance[choice], choice.count(".")), default=None)
    return close if close is not None and distance[close] <= errors else None


def _ours_for_parts(name: str) -> str:
    """`select_share` as `validation_share`: each part by our word for it, where there is one."""
    return "_".join(SYNONYMS[part][0] if part in SYNONYMS else part for part in name.split("_"))


def _edits(a: str, b: str, most: int) -> int:
    """Insertions, deletions, substitutions and swaps of neighbours between two words; `most` + 1 if there are more."""
    if abs(len(a) - len(b)) > most:
        return most + 1
    before: list[int] = []
    row = list(range(len(b) + 1))
    for i, left in enumerate(a):
        earlier, before, row = before, row, [i + 1]
        for j, right in enumerate(b):
            cost = min(before[j] + (left != right), before[j + 1] + 1, row[j] + 1)
            if i and j and left == b[j - 1] and right == a[i - 1]:
                cost = min(cost, earlier[j - 1] + 1)
            row.append(cost)
        if min(row) > most:
            return most + 1
    return row[-1]


def failure(error: BaseException) -> str:
    """An error of foreign code in one line: its class, its text, and the innermost line of its traceback."""
    last = traceback.extract_tb(error.__traceback__, limit=-1)[0]
    try:
        reason = " ".join(str(error).split())
    except Exception:  # its own code may fail too
        reason = ""
    reason = reason if len(reason) <= 300 else f"… {reason[-300:]}"
    return f"{type(error).__name__}{reason and f': {reason}'} ({last.filename}:{last.lineno})"
