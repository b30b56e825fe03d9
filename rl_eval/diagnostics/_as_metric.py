"""Diagnostics as criteria of suites: `diagnostic: <name>`."""

from __future__ import annotations

from rl_eval.diagnostics._diagnosed_run import read_diagnosed_run
from rl_eval.diagnostics._registry import findings_of
from rl_eval.errors import InputError
from rl_eval.metrics import metric
from rl_eval.run import Run


@metric("artefact", name="diagnostic.<name>", unit="run", better="higher")
def finds_nothing(name: str, run: Run) -> list[str]:
    """1 if a diagnostic has no finding above a note, else 0; `diagnostic: <name>` in a suite."""
    try:
        findings = findings_of(read_diagnosed_run(run.path), name)
    except InputError as error:
        return [str(error)]
    return [
        f"{finding.title}: {finding.evidence}" + (f"; try {finding.change}" if finding.change else "")
        for finding in findings
        if finding.severity != "note"
    ]
