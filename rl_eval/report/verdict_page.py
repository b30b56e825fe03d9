"""The page on a verdict file of pytest: what it judged, for any policies, and the evidence."""

from __future__ import annotations

from pathlib import Path

from rl_eval.formatting import brief
from rl_eval.gates.verdict import SuiteVerdict
from rl_eval.gates.verdict_file import read_suite_verdicts
from rl_eval.report import one_run, verdicts
from rl_eval.report.html_page import count, render
from rl_eval.run import read_json


def verdict_page(file: Path) -> str:
    """The HTML of a verdict file.

    Raises:
        InputError: it is damaged, or not a verdict file.
    """
    suites = read_suite_verdicts(file)
    policies = list(dict.fromkeys(policy for suite in suites for policy in suite.runs))
    written = read_json(file).get("written")
    facts = [file.name, f"{count(len(suites))} suite{'' if len(suites) == 1 else 's'}"]
    facts += [written[:16].replace("T", " ")] if isinstance(written, str) else []
    values = one_run.judged_values(suites)
    contents = [("criteria", "Criteria")] if suites else []
    contents += [("evidence", "Evidence")] if values["evidence"] else []
    contents += [("provenance", "What was judged")]
    return render(
        "verdict.html",
        title=f"Verdict on {brief(', '.join(policies), 120)}" if policies else "Verdict",
        contents=contents,
        headline=verdicts.headline(suites),
        facts=facts,
        provenance=[(suite.suite, _facts(suite)) for suite in suites],
        **values,
    )


def _facts(suite: SuiteVerdict) -> list[tuple[str, str]]:
    pairs = [*suite.facts(), *(("passed over", sentence) for sentence in suite.passed_over)]
    pairs += [("file", suite.file), ("gate_seed", str(suite.gate_seed)), ("test set, SHA-256", suite.test_set or "")]
    return [(name, brief(text)) for name, text in pairs if text]
