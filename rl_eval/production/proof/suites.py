"""The suites that gate CI, run on a candidate.

Criteria on how a run was trained, or on several runs, are not asked: a candidate has no training run of its own.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

from rl_eval import gates
from rl_eval.formatting import number
from rl_eval.gates import CriterionVerdict, Suite
from rl_eval.production.proof.finding import Decision, Finding
from rl_eval.run import Run

MAX_CRITERIA = 8  # that a sentence names


def judge(file: Path, candidate: Run, champion: Run | None = None, *, trust: bool = False) -> Finding:
    """Whether a candidate passes a suite.

    Args:
        file: of the suite.
        champion: who plays the same episodes, for the paired differences; None: nobody.
        trust: whether policies and environments that the suite or the run names may run code from elsewhere.

    Raises:
        InputError: the suite is not valid.
    """
    suite = gates.load_suite(file, trust=trust)
    verdict = gates.evaluate_run(suite, candidate, trust=trust)
    paired = {} if champion is None else against_champion(suite, candidate, champion, trust=trust)
    unasked = {c.name for c in suite.criteria if c.metric.kind != "task"}
    asked = [c for c in verdict.criteria if c.criterion not in unasked]
    decisions = {c.decision for c in asked}
    decision: Decision = "PASS" if "PASS" in decisions else "NOT_CHECKED"
    if decisions & {"ERROR", "FAIL"}:
        decision = "FAIL"
    elif decisions & {"INCONCLUSIVE", "NEEDS_RUNS"}:
        decision = "INCONCLUSIVE"
    named = [c for c in asked if c.decision not in ("PASS", "NOT_CHECKED")] or asked
    sentences = [f"{c.criterion} {c.decision}: {c.detail}{_difference(paired.get(c.criterion))}" for c in named]
    more = f" and {len(sentences) - MAX_CRITERIA} more" if len(sentences) > MAX_CRITERIA else ""
    return Finding(f"suite:{suite.name}", decision, "; ".join(sentences[:MAX_CRITERIA]) + more)


def against_champion(
    suite: Suite, candidate: Run, champion: Run, *, trust: bool = False
) -> dict[str, CriterionVerdict]:
    """Candidate minus champion on the episodes of a suite, by the evidence engine's paired test at a margin of 0.

    Returns:
        Criterion -> verdict, with the difference and its interval; of criteria on episodes that are decided by
        evidence and whose metric has a better side.
    """
    change = {"at_least": None, "at_most": None, "better_than": [str(champion.path.resolve())], "margin": None,
              "factor": None}  # fmt: skip
    criteria = tuple(
        dataclasses.replace(criterion, spec=criterion.spec.model_copy(update=change))
        for criterion in suite.criteria
        if criterion.metric.kind == "task" and criterion.metric.better and criterion.spec.by == "evidence"
    )
    if not criteria:
        return {}
    without_controls = suite.spec.model_copy(update={"controls": [], "attainable": None})
    compared = dataclasses.replace(suite, spec=without_controls, criteria=criteria)
    return {verdict.criterion: verdict for verdict in gates.evaluate_run(compared, candidate, trust=trust).criteria}


def _difference(verdict: CriterionVerdict | None) -> str:
    """The paired difference to the champion, with its interval."""
    if verdict is None or verdict.estimate is None or verdict.interval is None:
        return ""
    low, high = ("unbounded" if end is None else number(end) for end in verdict.interval)
    return f" (minus the champion's: {number(verdict.estimate)}, {low} to {high})"
