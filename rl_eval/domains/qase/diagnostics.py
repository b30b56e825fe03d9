"""Diagnostics of Qase runs: constant features, and rewards that no order changes."""

from __future__ import annotations

from rl_eval.diagnostics import DiagnosedRun, Finding, diagnostic

MANY = 0.5


@diagnostic
def silent_features(run: DiagnosedRun) -> Finding | None:
    """Features without information: the same value in every training execution.

    Reads the preprocessing record of the run, so the data is not needed.
    """
    features, constant = _names(run.preprocessing.get("features")), _names(run.preprocessing.get("constant"))
    if not features or not constant:
        return None
    rates = run.preprocessing.get("default_rates")
    default = [name for name in constant if isinstance(rates, dict) and rates.get(name) == 1.0]
    unset = f", {len(default)} of them at their default value" if default else ""
    return Finding(
        name="silent_features",
        severity="warning" if len(constant) > MANY * len(features) else "note",
        layer="data",
        title="features of the test cases have no information",
        evidence=f"{len(constant)} of {len(features)} are constant in training{unset}: {', '.join(constant)}",
        meaning="No agent can learn from them. If the project fills in these fields, they were not read: "
        "`rl-eval qase inspect` shows what was. If it does not, only history distinguishes its cases.",
        source="`constant` and `default_rates` of preprocessing.json; a warning above half of the features",
        certainty=0.95,
        data={"constant": constant, "features": len(features), "default": default},
    )


def _names(value: object) -> list[str]:
    return [name[:100] for name in value if isinstance(name, str)] if isinstance(value, list) else []


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


DIAGNOSTICS = (silent_features, order_not_paid)
