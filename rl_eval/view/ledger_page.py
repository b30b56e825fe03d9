"""The ledger: which policies were judged on which test set, and what that does to the error rate."""

from __future__ import annotations

from rl_eval.formatting import percent
from rl_eval.gates import ledger
from rl_eval.view.rendering import render
from rl_eval.view.runs import Runs

MAX_ROWS = 500
ALPHA = 0.05


def page(runs: Runs) -> str:
    """The page on `ledger.jsonl` of the folder, the newest verdicts first."""
    content = ledger.read_entries(runs.outputs / ledger.DEFAULT.name)
    sets: dict[str, list[ledger.RecordedVerdict]] = {}
    for entry in content.entries:
        sets.setdefault(entry.test_set, []).append(entry)
    rows = []
    for test_set, entries in sets.items():
        policies = ledger.count_policies([frozenset(entry.policies) for entry in entries])
        most, independent = ledger.error_rate(policies, ALPHA)
        rows.append(
            {
                "test_set": test_set,
                "suites": sorted({entry.suite for entry in entries}),
                "verdicts": len(entries),
                "policies": policies,
                "most": percent(most),
                "independent": percent(independent),
            }
        )
    return render(
        "ledger.html",
        title="Ledger",
        here="/ledger",
        sets=rows,
        entries=content.entries[::-1][:MAX_ROWS],
        total=len(content.entries),
        damaged=content.damaged,
        problem=content.problem,
        alpha=percent(ALPHA, 0),
    )
