"""Why a criterion failed, as far as its run tells: what doctor finds first, in a sentence."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from rl_eval.errors import InputError

MOST = 2


@cache
def first_findings(run: str, trust: bool) -> str:
    """`doctor: …; try …` for each of the first findings above a note; empty where there is none, or no run."""
    if not (Path(run) / "run.json").is_file():
        return ""
    from rl_eval import diagnostics

    try:
        found = diagnostics.examine(diagnostics.read(run, trust=trust))
    except InputError as error:
        return f"doctor: {error}"
    return "\n".join(diagnostics.sentence(each) for each in found if each.severity != "note")


def beside(sentence: str, run: str | None, trust: bool) -> str:
    """A failing criterion's sentence with doctor's below it."""
    lines = first_findings(run, trust).splitlines()[:MOST] if run else []
    return "\n".join([sentence, *lines])
