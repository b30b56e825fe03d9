"""The findings of doctor, the most important first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import IO, Any

from rich.console import Console

from rl_eval.terminal._console import console_for, labelled_line

SEVERITY_STYLES = {"problem": "bold red", "warning": "bold yellow", "note": "bold"}


def print_findings(
    findings: Sequence[Mapping[str, Any]],
    missing: Sequence[str] = (),
    *,
    heading: str | None = None,
    trials: str | None = None,
    stream: IO[str] | None = None,
    console: Console | None = None,
) -> None:
    """Print each finding with its evidence, meaning and change; then what could not be examined, and a count.

    Args:
        findings: each with `severity`, `title`, `name`, `evidence`, `meaning`, `change` and `source`.
        missing: sentences about what could not be examined.
        heading: the run that the findings are about.
        trials: what trials on earlier data showed.
    """
    console = console or console_for(stream)
    if heading is not None:
        console.print(labelled_line("==", heading, console.options, "bold"), soft_wrap=True)
    if trials is not None:
        console.print(labelled_line("trials:", trials, console.options, "bold"), soft_wrap=True)
    for finding in findings:
        severity = str(finding["severity"])
        title = f"{finding['title']} [{finding['name']}]"
        style = SEVERITY_STYLES.get(severity, "bold")
        console.print(labelled_line(severity.upper(), title, console.options, style), soft_wrap=True)
        for sentence in (finding["evidence"], finding["meaning"], f"sign: {finding['source']}"):
            console.print(labelled_line(" ", sentence, console.options, ""), soft_wrap=True)
        if finding.get("change"):
            # On its own line and never wrapped, so that it can be copied.
            console.print(labelled_line("  try:", finding["change"], console.options, "bold green"), soft_wrap=True)
        console.print()
    for sentence in missing:
        console.print(labelled_line("not examined:", sentence, console.options, "bold"), soft_wrap=True)
    counts = Counter(str(finding["severity"]) for finding in findings)
    texts = [f"{counts[name]} {name}{'s' if counts[name] != 1 else ''}" for name in SEVERITY_STYLES if counts[name]]
    console.print(", ".join(texts) if texts else "nothing found", soft_wrap=True)
