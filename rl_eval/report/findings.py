"""The findings of the diagnostics, for a page."""

from __future__ import annotations

from rl_eval.diagnostics import Finding, all_findings, diagnosed_run
from rl_eval.report.html_page import error_sentence
from rl_eval.run import RunRecord


def findings_of(run: RunRecord, missing: list[str], *, trust: bool = False) -> list[Finding] | None:
    """The findings on one run, most important first; None if the diagnostics fail, with a sentence in `missing`.

    Args:
        missing: sentences on what a page cannot show; this may add one.
    """
    try:
        return all_findings(diagnosed_run(run, trust=trust))
    except Exception as error:  # the environment or its data may be anyone's; a page shows what it can
        missing.append(error_sentence("the findings", error))
    return None
