"""A reward that is the same for every order of the test cases."""

from __future__ import annotations

from rl_eval.diagnostics._finding import Finding
from rl_eval.diagnostics._reading import Reading
from rl_eval.diagnostics._registry import diagnostic

# What they count is counted among the cases that ran, and without a budget all of them do.
COUNTS = {"rl_eval.rewards.qase.FailureCount", "rl_eval.rewards.qase.SecurityPassed"}


@diagnostic
def order_not_paid(reading: Reading) -> Finding | None:
    """The reward counts what ran, and every case runs whatever its place."""
    terms = reading.setting("reward.terms")
    if reading.setting("env.name") != "qase" or reading.setting("env.budget") not in (None, 1.0):
        return None
    if not isinstance(terms, dict) or not terms:
        return None
    weighed = {name: term for name, term in terms.items() if isinstance(term, dict) and term.get("weight", 1.0) != 0}
    if not weighed or any(term.get("_target_") not in COUNTS for term in weighed.values()):
        return None
    told = ", ".join(str(name) for name in list(weighed)[:6])
    return Finding(
        name="order_not_paid",
        severity="problem",
        layer="reward",
        title="every order of the test cases earns the same",
        evidence=f"{told} count what ran, and without env.budget every case runs",
        meaning="No level is better than another, so nothing can be learned; a loss that falls says nothing here.",
        change="env.budget=0.25",
        source="the terms of the reward and env.budget, from the config",
        certainty=1.0,
        data={"terms": [str(name) for name in weighed]},
    )
