"""The reference page of the embedded project of Qase, and of the features of its cases."""

from __future__ import annotations

from conf_tables import code, table

from rl_eval.domains.qase.environment.features import CASE_FEATURES, HISTORY_FEATURES
from rl_eval.domains.qase.synthetic import history, project

_TEXT = """# The embedded project of Qase

`rl_eval.domains.qase.synthetic.history.generate(cycles, seed, cases=600)` simulates a web shop's test cases and their history, with the known probability of every failure: `.project`, `.log`, `.failure_probability`. `env.data=synthetic` uses it.

Given the build before and the components that changed, cases fail independently. So `failure_probability` is exact, and no order made before the verdicts are known has a higher mean APFD than the order by it. A policy does not observe what changed, so it cannot reach this order.
"""  # noqa: E501


def qase_project_page() -> str:
    """How the embedded project is simulated, and the 64 features."""
    smallest, largest = history.SIZE
    low, high = project.FLAKE_RATE
    repaired = ", ".join(f"{value} at {name} priority" for name, value in project.REPAIRED.items())
    first, second = history.CONSTANT_RATES
    rows = [
        ("components", f"{len(project.COMPONENTS)}, each a suite; some contain others"),
        ("cases", f"{project.EXISTING:.0%} exist from the start, the others are added one by one until the end"),
        (
            "a build",
            f"changes {history.CHANGES} components on average; {history.QUIET:.0%} of builds change none",
        ),
        (
            "a change",
            f"breaks each case of its component with the log-odds {history.INTERCEPT} + {history.HEAT_ODDS} · heat + "
            "fragility + hidden effect",
        ),
        (
            "heat",
            "of a component: how often it changes compared with the others, and how much its changes break; deviation "
            f"{history.HEAT_DEVIATION}; drifts",
        ),
        ("fragility", f"of a case: the sum of the table below, and {project.PER_LOG_STEPS} · ln(steps / 4); constant"),
        (
            "hidden effect",
            f"of a case: deviation {history.OWN_DEVIATION}; visible only in verdicts; drifts",
        ),
        ("drift", f"the correlation falls to 1/e after {history.DRIFT_CYCLES} cycles"),
        (
            "spill",
            f"with probability {history.SPILL} a change reaches each component that depends on the changed one, with "
            f"{-history.SPILL_ODDS:g} less log-odds",
        ),
        ("a break", f"lasts until it is repaired, with a probability per cycle of {repaired}"),
        (
            "flaky cases",
            f"{project.FLAKY_SHARE:.0%}, fail randomly at a rate of {low} to {high}; {project.FLAKY_MARKED:.0%} of "
            f"them are marked, and {project.STEADY_MARKED:.0%} of the others",
        ),
        (
            "a cycle",
            f"runs {smallest} to {largest} cases; cases of changed components are {history.CHANGED_WEIGHT:g} times as "
            f"likely, cases that failed last {history.FAILED_WEIGHT:g} times, new cases {history.NEW_WEIGHT:g} times",
        ),
        (
            "an execution",
            f"{history.WITHOUT_VERDICT:.0%} end without a verdict; durations are log-normal by steps, layer and type",
        ),
        (
            "`env.signal=false`",
            f"no changes, breaks and drift: each case fails at a constant rate, drawn from Beta({first}, {second})",
        ),
    ]
    effects = {**project.FIELDS, "title and first action": project.CONDITIONS}
    odds = [
        (name, ", ".join(f"{value} {effect:+g}" for value, (_, effect) in values.items() if effect))
        for name, values in effects.items()
    ]
    features = [
        ("of the case", ", ".join(map(code, CASE_FEATURES))),
        ("of its history", ", ".join(map(code, HISTORY_FEATURES))),
    ]
    return (
        f"{_TEXT}\n{table(('', ''), rows)}\n## Fragility\n\n"
        + table(("field", "added log-odds of breaking"), [row for row in odds if row[1]])
        + f"\n## Features\n\nThe {len(CASE_FEATURES) + len(HISTORY_FEATURES)} features are float32 and finite, in this "
        "order. Severity and priority are levels from 0 to 1. Texts are signed word hashes, each text scaled to length "
        "1 (Weinberger et al., ICML 2009). History is that of earlier cycles only. Here `is_muted` is constant, since "
        "muted cases have no verdict.\n\n" + table(("features", ""), features)
    )
