"""Why a criterion failed, as far as its run tells: what doctor finds first."""

from __future__ import annotations

from pathlib import Path

from rl_eval.errors import InputError

MOST = 2


def first_findings(run: Path, *, trust: bool) -> list[str]:
    """`doctor: …; try …` for each of the first findings above a note; nothing where there is no run."""
    if not (run / "run.json").is_file():
        return []
    from rl_eval import diagnostics

    try:
        found = diagnostics.all_findings(diagnostics.read(run, trust=trust))
    except InputError as error:
        return [f"doctor: {error}"]
    return [diagnostics.sentence(each) for each in found if each.severity != "note"][:MOST]
