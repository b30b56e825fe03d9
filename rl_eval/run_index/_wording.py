"""What a list says of a run in a word or two."""

from __future__ import annotations

from pathlib import Path

from rl_eval.formatting import decision_text, duration
from rl_eval.run_index._entry import Entry
from rl_eval.run_index._scan import silent_for

SILENT_S = 600.0  # without a word from a run that trains


def verdict_text(entry: Entry, outputs: Path) -> str:
    """What a person wants to know of a run first: its verdict, or why it has none."""
    if entry.status == "unreadable":
        return "cannot be read"
    if entry.status == "running" and (silent := silent_for(outputs / entry.path)) > SILENT_S:
        return f"silent for {duration(silent)}"  # killed, or in a long validation
    if entry.status != "finished":
        return entry.status.replace("over_budget", "over budget")
    text = decision_text(entry.decision)
    on_validation = entry.suites and all(suite.part == "validation" for suite in entry.suites)
    return f"{text} on validation" if on_validation else text
