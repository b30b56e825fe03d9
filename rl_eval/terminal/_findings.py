"""What doctor found, the most important first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import IO, Any

from rich.console import Console

from rl_eval.terminal._console import console_for, headed

STYLES = {"problem": "bold red", "warning": "bold yellow", "note": "bold"}


def print_findings(
    findings: Sequence[Mapping[str, Any]],
    missing: Sequence[str] = (),
    *,
    heading: str | None = None,
    stream: IO[str] | None = None,
    console: Console | None = None,
) -> None:
    """Each finding with its evidence, what it means and what to change; then what could not be looked at, and a count.

    Args:
        findings: each with `severity`, `title`, `name`, `evidence`, `meaning`, `change` and `source`.
        missing: sentences.
        heading: whose findings they are, where there are several.
    """
    console = console or console_for(stream)
    if heading is not None:
        console.print(headed("==", heading, console.options, "bold"), soft_wrap=True)
    for finding in findings:
        severity = str(finding["severity"])
        head = f"{finding['title']} [{finding['name']}]"
        console.print(headed(severity.upper(), head, console.options, STYLES.get(severity, "bold")), soft_wrap=True)
        for said in (finding["evidence"], finding["meaning"], f"sign: {finding['source']}"):
            console.print(headed(" ", said, console.options, ""), soft_wrap=True)
        if finding.get("change"):
            # On a line of its own and never wrapped, to be copied.
            console.print(headed("  try:", finding["change"], console.options, "bold green"), soft_wrap=True)
        console.print()
    for sentence in missing:
        console.print(headed("not looked at:", sentence, console.options, "bold"), soft_wrap=True)
    counts = Counter(str(finding["severity"]) for finding in findings)
    told = [f"{counts[name]} {name}{'s' if counts[name] != 1 else ''}" for name in STYLES if counts[name]]
    console.print(", ".join(told) if told else "nothing found", soft_wrap=True)
