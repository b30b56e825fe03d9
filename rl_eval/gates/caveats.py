"""What a PASS rests on that the suite's author chose, for its verdict to say."""

from __future__ import annotations

from dataclasses import replace

from rl_eval.formatting import number
from rl_eval.gates.suite import Suite
from rl_eval.gates.verdict import CriterionVerdict

# An alpha above this, and a decision after so few units, are named.
LARGE_ALPHA = 0.1
HANDFUL = 8


def with_caveats(suite: Suite, verdict: CriterionVerdict) -> CriterionVerdict:
    """A PASS that rests on a choice of the suite's author says so."""
    criterion = next((c for c in suite.criteria if c.name == verdict.criterion), None)
    if criterion is None or verdict.decision != "PASS":
        return verdict
    notes = []
    if criterion.metric.kind == "training":
        notes.append("reported by the training run itself")
    if criterion.metric.kind == "task" and not suite.spec.controls:
        notes.append("controls: [] leaves open whether a useless policy passes too")
    if verdict.by == "evidence" and suite.spec.alpha > LARGE_ALPHA:
        notes.append(f"alpha {number(suite.spec.alpha)} lets a policy below the bar pass that often")
    metric = criterion.metric
    declared = metric.kind == "task" and metric.bounds is None and criterion.bounds is not None
    if declared and verdict.decided_at is not None and verdict.decided_at <= HANDFUL:
        low, high = criterion.bounds  # type: ignore[misc]
        notes.append(
            f"{verdict.decided_at} {verdict.unit}s sufficed only because of return_bounds "
            f"[{number(low, 6)}, {number(high, 6)}]: declare what an episode can really return"
        )
    return replace(verdict, detail="; ".join([verdict.detail, *notes]))
