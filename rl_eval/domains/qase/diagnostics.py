"""Diagnostics of Qase runs: rewards that no order changes."""

from __future__ import annotations

from rl_eval.diagnostics import DiagnosedRun, Finding, diagnostic

# These terms count among the cases that ran; without a budget, all cases run.
COUNTS = {"rl_eval.domains.qase.rewards.FailureCount", "rl_eval.domains.qase.rewards.SecurityPassed"}


@diagnostic
def order_not_paid(run: DiagnosedRun) -> Finding | None:
    """The reward counts cases that ran, and every case runs in every order."""
    terms = run.setting("reward.terms")
    if run.setting("env.budget") not in (None, 1.0):
        return None
    if not isinstance(terms, dict) or not terms:
        return None
    weighted = {name: term for name, term in terms.items() if isinstance(term, dict) and term.get("weight", 1.0) != 0}
    if not weighted or any(term.get("_target_") not in COUNTS for term in weighted.values()):
        return None
    names = ", ".join(str(name) for name in list(weighted)[:6])
    return Finding(
        name="order_not_paid",
        severity="problem",
        layer="reward",
        title="every order of the test cases earns the same",
        evidence=f"{names} count cases that ran, and without env.budget every case runs",
        meaning="No level is better than another, so nothing can be learned. A falling loss means nothing here.",
        change="env.budget=0.25",
        source="the terms of the reward and env.budget, from the config",
        certainty=1.0,
        data={"terms": [str(name) for name in weighted]},
    )


DIAGNOSTICS = (order_not_paid,)
