"""Draw the cases of the embedded project, a web shop's API, with the fragility of each case.

Fragility is a sum of log-odds over fields, words of the title and number of steps. So a policy can learn from known
cases how fragile new ones are.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from rl_eval.domains.qase.model.project import Case, CaseStep, CaseSuite, Parameter, Project, build_project

# Component: (parent suite, subjects of its cases, components that a change may spill to).
COMPONENTS: dict[str, tuple[str | None, tuple[str, ...], tuple[str, ...]]] = {
    "Accounts": (None, ("profile", "address", "password"), ("Orders", "Notifications")),
    "Sign-in": ("Accounts", ("session", "token", "code"), ("Accounts", "Roles")),
    "Roles": ("Accounts", ("invitation", "permission", "team"), ("Platform",)),
    "Catalogue": (None, ("product", "price", "stock"), ("Search", "Orders")),
    "Search": ("Catalogue", ("query", "filter", "suggestion"), ("Catalogue",)),
    "Import": ("Catalogue", ("file", "mapping", "column"), ("Catalogue", "Search")),
    "Orders": (None, ("basket", "order", "discount"), ("Payments", "Shipping")),
    "Payments": ("Orders", ("card", "refund", "invoice"), ("Orders", "Webhooks")),
    "Shipping": ("Orders", ("parcel", "label", "slot"), ("Notifications",)),
    "Platform": (None, ("key", "quota", "backup"), ("Sign-in", "Webhooks")),
    "Notifications": ("Platform", ("mail", "digest", "message"), ("Accounts",)),
    "Webhooks": ("Platform", ("endpoint", "signature", "delivery"), ("Notifications", "Payments")),
}
# Field: value -> (share of cases, added log-odds of breaking).
FIELDS: dict[str, dict[str, tuple[float, float]]] = {
    "severity": {
        "blocker": (0.08, 0.8), "critical": (0.17, 0.6), "major": (0.25, 0.2), "normal": (0.25, 0.0),
        "minor": (0.12, -0.4), "trivial": (0.05, -0.8), "undefined": (0.08, 0.0),
    },
    "priority": {"high": (0.3, 0.6), "medium": (0.4, 0.0), "low": (0.2, -0.6), "undefined": (0.1, 0.0)},
    "type": {
        "functional": (0.34, 0.0), "regression": (0.16, 0.2), "smoke": (0.1, -0.6), "integration": (0.1, 0.7),
        "security": (0.08, 0.4), "performance": (0.05, 0.5), "acceptance": (0.05, -0.2), "usability": (0.04, -0.7),
        "compatibility": (0.03, 0.2), "exploratory": (0.03, 0.3), "other": (0.02, 0.0),
    },
    "behavior": {
        "positive": (0.5, -0.3), "negative": (0.3, 0.5), "destructive": (0.1, 0.7), "undefined": (0.1, 0.0),
    },
    "layer": {"api": (0.55, 0.0), "e2e": (0.2, 0.5), "unit": (0.15, -0.7), "unknown": (0.1, 0.0)},
    "automation": {"automated": (0.7, 0.0), "is-not-automated": (0.2, 0.0), "to-be-automated": (0.1, 0.0)},
    "status": {"actual": (0.92, 0.0), "draft": (0.05, 0.0), "deprecated": (0.03, 0.0)},
    "preconditions": {
        "": (0.3, 0.0), "A user is signed in": (0.3, 0.0), "The account is empty": (0.15, -0.2),
        "Two users share a team": (0.15, 0.3), "The cache is cold": (0.1, 0.4),
    },
}  # fmt: skip
# The same for the ending of the title and of the first action.
CONDITIONS = {
    "with valid values": (0.16, -0.6), "without a body": (0.1, -0.2), "as an administrator": (0.12, -0.3),
    "with an unknown id": (0.1, 0.0), "in another language": (0.1, 0.0), "with a long text": (0.1, 0.2),
    "twice at once": (0.12, 0.8), "after a timeout": (0.1, 0.6), "under load": (0.1, 0.7),
}  # fmt: skip
VERBS = ("Create", "Read", "Change", "Delete", "List", "Export", "Restore", "Share")
CHECKED_PARTS = ("status", "body", "headers", "history", "log", "other users' view")
TAGS, TAG_SHARE = ("nightly", "release", "mobile", "partner"), 0.15
GHERKIN_SHARE, PARAMETERS_SHARE, NESTED_SHARE = 0.15, 0.2, 0.1  # of cases: Gherkin, with parameters, steps in steps
TYPICAL_STEPS, STEPS_DEVIATION, MOST_STEPS = 4, 0.6, 20  # log-normal
PER_LOG_STEPS = 0.4  # log-odds of breaking per unit of log(steps / TYPICAL_STEPS)
# Probability per cycle that a broken case is repaired, by priority.
REPAIRED = {"high": 0.8, "medium": 0.5, "low": 0.2, "undefined": 0.5}
FLAKY_SHARE, FLAKE_RATE = 0.04, (0.05, 0.3)  # a flaky case fails at a random rate, drawn uniformly from this range
FLAKY_MARKED, STEADY_MARKED = 0.75, 0.02  # share of flaky and of other cases marked `is_flaky`
EXISTING = 0.7  # share of cases that exist from the start; the others are added at uniform times
# Natural logarithm of milliseconds.
DURATION = {"base": 5.5, "per_log_steps": 0.6, "own_deviation": 0.4}
LONGER = {"e2e": 2.0, "unit": -2.5, "performance": 1.5}


@dataclass(frozen=True)
class SyntheticCases:
    """C cases in project order, and their hidden properties.

    Attributes:
        component: `[C]` index into `COMPONENTS`.
        fragility: `[C]` added to the log-odds that a change of the component breaks the case.
        repaired: `[C]` probability per cycle that it is repaired when broken.
        flake_rate: `[C]` probability of a random failure.
        added: `[C]` when it was added, as a share of all cycles, 0 to 1.
        log_duration: `[C]` mean of the natural logarithm of its duration in ms.
    """

    project: Project
    component: np.ndarray = field(repr=False)
    fragility: np.ndarray = field(repr=False)
    repaired: np.ndarray = field(repr=False)
    flake_rate: np.ndarray = field(repr=False)
    added: np.ndarray = field(repr=False)
    log_duration: np.ndarray = field(repr=False)


def draw_cases(cases: int, rng: np.random.Generator) -> SyntheticCases:
    """Draw cases, spread evenly over the components; ids are in order of creation."""
    names = tuple(COMPONENTS)
    suites = [
        CaseSuite(id=i + 1, title=name, parent_id=names.index(above) + 1 if above else None)
        for i, (name, (above, _, _)) in enumerate(COMPONENTS.items())
    ]
    component = rng.permutation(np.arange(cases) % len(names))
    fields: dict[str, list[str]] = {}
    fragility = np.zeros(cases)
    for name, values in (*FIELDS.items(), ("condition", CONDITIONS)):
        fields[name], odds = _draw_field(values, cases, rng)
        fragility += odds
    conditions = fields.pop("condition")
    steps = np.rint(rng.lognormal(np.log(TYPICAL_STEPS), STEPS_DEVIATION, cases)).clip(1, MOST_STEPS).astype(int)
    fragility += PER_LOG_STEPS * np.log(steps / TYPICAL_STEPS)
    flaky = rng.random(cases) < FLAKY_SHARE
    flake_rate = np.where(flaky, rng.uniform(*FLAKE_RATE, cases), 0.0)
    marked = rng.random(cases) < np.where(flaky, FLAKY_MARKED, STEADY_MARKED)
    log_duration = DURATION["base"] + DURATION["per_log_steps"] * np.log(steps)
    log_duration += rng.normal(0.0, DURATION["own_deviation"], cases)
    for name in ("layer", "type"):
        log_duration += [LONGER.get(value, 0.0) for value in fields[name]]
    existing = int(np.ceil(EXISTING * cases))
    added = np.concatenate([np.zeros(existing), np.sort(rng.random(cases - existing))])
    titles: dict[str, int] = {}
    written = []
    for i in range(cases):
        verb, thing = rng.choice(VERBS), rng.choice(COMPONENTS[names[component[i]]][1])
        title = f"{verb} a {thing} {conditions[i]}"
        titles[title] = titles.get(title, 0) + 1
        if titles[title] > 1:  # results are joined to cases by suite and title
            title = f"{title}, variant {titles[title]}"
        case = {
            **{name: of_cases[i] for name, of_cases in fields.items()},
            "id": i + 1,
            "title": title,
            "suite_id": int(component[i]) + 1,
            "is_flaky": bool(marked[i]),
            "steps": _steps(f"{verb} the {thing} {conditions[i]}", int(steps[i]), rng),
            "steps_type": "gherkin" if rng.random() < GHERKIN_SHARE else "classic",
            "parameters": _CURRENCIES if rng.random() < PARAMETERS_SHARE else (),
            "tags": tuple(tag for tag in TAGS if rng.random() < TAG_SHARE),
        }
        written.append(Case.model_validate(case))
    project = build_project(suites, written, "the embedded project")
    order = np.array([case.id - 1 for case in project.cases])
    return SyntheticCases(
        project=project,
        component=component[order],
        fragility=fragility[order],
        repaired=np.array([REPAIRED[case.priority] for case in project.cases]),
        flake_rate=flake_rate[order],
        added=added[order],
        log_duration=log_duration[order],
    )


_CURRENCIES = (Parameter(title="currency", values=("EUR", "USD")),)


def _draw_field(
    values: dict[str, tuple[float, float]], cases: int, rng: np.random.Generator
) -> tuple[list[str], np.ndarray]:
    """Draw a value for each case by the shares; return it and its log-odds, `[C]`."""
    share, odds = np.array(list(values.values())).T
    at = rng.choice(len(values), size=cases, p=share)
    names = list(values)
    return [names[i] for i in at], odds[at]


def _steps(first: str, count: int, rng: np.random.Generator) -> tuple[CaseStep, ...]:
    """A first step with the action, and steps that check something, in some cases nested in the first step."""
    checks = tuple(
        CaseStep(action=f"Look at the {CHECKED_PARTS[i]}", expected_result="As documented")
        for i in rng.integers(len(CHECKED_PARTS), size=count - 1)
    )
    if rng.random() < NESTED_SHARE:
        return (CaseStep(action=first, expected_result="It is done", steps=checks),)
    return (CaseStep(action=first, expected_result="It is done"), *checks)
