"""The suites that gate CI, run on a candidate.

Criteria on how a run was trained, or on several runs, are not asked: a candidate has no training run of its own.
"""

from __future__ import annotations

from pathlib import Path

from rl_eval import gates
from rl_eval.formatting import number
from rl_eval.gates import SuiteVerdict
from rl_eval.production.proof.finding import Decision, Finding
from rl_eval.run import Run

MAX_CRITERIA = 8  # that a sentence names


def judge(file: Path, candidate: Run, champion: Run | None = None, *, trust: bool = False) -> Finding:
    """Whether a candidate passes a suite.

    Args:
        file: of the suite.
        champion: who plays the same episodes, for the difference of its estimates; None: nobody.
        trust: whether policies and environments that the suite or the run names may run code from elsewhere.

    Raises:
        InputError: the suite is not valid.
    """
    suite = gates.load_suite(file, trust=trust)
    verdict = gates.evaluate_run(suite, candidate, trust=trust)
    reference = None if champion is None else gates.evaluate_run(suite, champion, trust=trust)
    unasked = {c.name for c in suite.criteria if c.metric.kind != "task"}
    asked = [c for c in verdict.criteria if c.criterion not in unasked]
    decisions = {c.decision for c in asked}
    decision: Decision = "PASS" if "PASS" in decisions else "NOT_CHECKED"
    if decisions & {"ERROR", "FAIL"}:
        decision = "FAIL"
    elif decisions & {"INCONCLUSIVE", "NEEDS_RUNS"}:
        decision = "INCONCLUSIVE"
    named = [c for c in asked if c.decision not in ("PASS", "NOT_CHECKED")] or asked
    sentences = [f"{c.criterion} {c.decision}: {c.detail}{_paired(c.criterion, c.estimate, reference)}" for c in named]
    more = f" and {len(sentences) - MAX_CRITERIA} more" if len(sentences) > MAX_CRITERIA else ""
    return Finding(f"suite:{suite.name}", decision, "; ".join(sentences[:MAX_CRITERIA]) + more)


def _paired(criterion: str, estimate: float | None, reference: SuiteVerdict | None) -> str:
    """The difference to the champion's estimate on the same episodes."""
    if reference is None or estimate is None:
        return ""
    theirs = next((c.estimate for c in reference.criteria if c.criterion == criterion), None)
    return "" if theirs is None else f" (champion {number(theirs)}, difference {number(estimate - theirs)})"
