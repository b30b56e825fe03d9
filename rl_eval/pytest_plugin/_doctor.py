"""The first findings of doctor on a run, shown with a criterion that failed on it."""

from __future__ import annotations

from pathlib import Path

from rl_eval.errors import InputError
from rl_eval.formatting import display_text

MAX_FINDINGS = 2


def first_findings(run: Path, *, trust: bool) -> list[str]:
    """`doctor: …; try …` for each of the first findings above a note; nothing if there is no run."""
    if not (run / "run.json").is_file():
        return []
    from rl_eval import diagnostics

    try:
        findings = diagnostics.all_findings(diagnostics.read(run, trust=trust))
    except InputError as error:
        return [display_text(f"doctor: {error}")]
    return [display_text(diagnostics.sentence(finding)) for finding in findings if finding.severity != "note"][
        :MAX_FINDINGS
    ]
