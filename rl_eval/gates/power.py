"""The chance that a policy of stated true values passes a suite: its criteria by evidence, simulated."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod

import numpy as np

from rl_eval.errors import InputError, nearest
from rl_eval.evidence.direction import wants_above
from rl_eval.formatting import percent
from rl_eval.gates.simulated_criterion import CriterionPower, SimulatedCriterion, simulated_criteria
from rl_eval.gates.suite import Suite
from rl_eval.gates.suite_environment import SuiteEnvironment

# Parts of the way from the bar to the best value that there can be: the true values where none are stated.
STEPS = (0.25, 0.5, 0.75)


@dataclass(frozen=True)
class SuitePower:
    """The chances of a suite.

    Attributes:
        groups: a name, and the criteria at the true values that go together.
        assumed: one sentence for each thing that was assumed.
        not_simulated: criterion -> why.
        by_evidence: how many criteria on the policy's own episodes are decided by evidence.
    """

    groups: Sequence[tuple[str, tuple[CriterionPower, ...]]]
    assumed: Sequence[str]
    not_simulated: Mapping[str, str]
    by_evidence: int


def chance_of_all(chances: Sequence[float]) -> tuple[float, float, float]:
    """That all of them happen: if they are independent, and the least and the most under any dependence.

    The most is the chance of the least likely one; the least is one minus the chances that each one does not happen
    (Bonferroni).
    """
    return prod(chances), max(0.0, 1 - sum(1 - chance for chance in chances)), min(chances)


def suite_power(
    suite: Suite,
    *,
    true: Mapping[str, float],
    std: Mapping[str, float],
    prevalence: float | None = None,
    data: str | None = None,
    gates: int = 500,
    seed: int = 0,
    trust: bool = False,
    on_gate: Callable[[int, int, str], None] = lambda done, total, label: None,
) -> SuitePower:
    """Simulate the criteria by evidence.

    Args:
        true: criterion or metric -> true value; against a reference, the true difference to it times `factor`. Only
            these criteria are simulated; empty: every one that can be, on the way from the bar to the best value.
        std: criterion or metric -> standard deviation of one unit.
        prevalence: share of positive cases; None: that of the test set.
        data: where the suite's data is, if the suite does not say so.
        on_gate: called after each gate with the gates so far, their number, and the criterion.

    Raises:
        InputError: a name is not one of the suite's, a value is not possible, or the environment cannot be made.
    """
    if prevalence is not None and not 0 < prevalence < 1:
        raise InputError(f"--prevalence {prevalence:g} is not a share of positive cases: give a number between 0 and 1")
    config = suite.judged
    if data is not None:
        if "path" not in type(config).model_fields:
            raise InputError(f"--data {data}: {config.name} reads no data files: remove it")
        config = config.model_copy(update={"path": data})
    environment = SuiteEnvironment(suite, config, trust)
    try:
        models, reasons = simulated_criteria(suite, environment, prevalence)
        values, deviations = (
            _by_criterion(suite, option, given, reasons) for option, given in (("--true", true), ("--std", std))
        )
        models = {name: replace(model, std=deviations.get(name)) for name, model in models.items()}
        if true:
            reasons |= {name: "no --true was given for it" for name in models if name not in values}
            plan = [("every criterion at its true value", values)]
        else:
            plan = [
                (
                    f"every criterion {percent(step, 0)} of the way from its bar to the best value",
                    _on_the_way(models, step),
                )
                for step in STEPS
            ]
        if not any(chosen for _, chosen in plan):
            raise InputError(f"{suite.label}: no criterion can be simulated: {'; '.join(_sentences(reasons))}")
        total = gates * sum(len(chosen) for _, chosen in plan)
        done = 0
        groups: list[tuple[str, tuple[CriterionPower, ...]]] = []
        for title, chosen in plan:
            rows = []
            for name in (name for name in models if name in chosen):
                row_seed = [seed, [*suite.spec.criteria].index(name), len(groups)]

                def count(name: str = name) -> None:
                    nonlocal done
                    done += 1
                    on_gate(done, total, name)

                rows.append(models[name].simulate(chosen[name], gates, np.random.default_rng(row_seed), count))
            groups.append((title, tuple(rows)))
        simulated = {row.criterion for _, rows in groups for row in rows}
        assumed = [models[name].assumed for name in models if name in simulated]
    finally:
        environment.close()
    by_evidence = sum(c.metric.kind == "task" and c.spec.by == "evidence" for c in suite.criteria)
    return SuitePower(groups, assumed, reasons, by_evidence)


def _by_criterion(
    suite: Suite, option: str, values: Mapping[str, float], reasons: Mapping[str, str]
) -> dict[str, float]:
    """Criterion -> value; that of the criterion's own name comes before that of its metric.

    Raises:
        InputError: a name is neither a criterion nor a metric of the suite, or cannot be simulated.
    """
    metrics: dict[str, list[str]] = {}
    for criterion in suite.criteria:
        metrics.setdefault(criterion.metric.name, []).append(criterion.name)
    by_criterion: dict[str, float] = {}
    for name in sorted(values, key=lambda name: name in suite.spec.criteria):
        criteria = [name] if name in suite.spec.criteria else metrics.get(name, [])
        if not criteria:
            names = [*suite.spec.criteria, *metrics]
            raise InputError(
                f"{option} {name}=…: {suite.label} has no criterion or metric {name!r}: {nearest(name, names)}"
                f"its criteria are {', '.join(suite.spec.criteria)}"
            )
        possible = [criterion for criterion in criteria if criterion not in reasons]
        if not possible:
            raise InputError(f"{option} {name}=…: {criteria[0]} cannot be simulated: it {reasons[criteria[0]]}")
        by_criterion |= dict.fromkeys(possible, values[name])
    return by_criterion


def _sentences(reasons: Mapping[str, str]) -> list[str]:
    return [f"{name} {reason}" for name, reason in reasons.items()]


def _on_the_way(models: Mapping[str, SimulatedCriterion], step: float) -> dict[str, float]:
    """Criterion -> true value, a part of the way from its bar to the best value."""
    values = {}
    for name, model in models.items():
        bar, (low, high) = model.check.blank.threshold, model.bounds
        assert bar is not None
        best = high if wants_above(model.check.blank.direction) else low  # type: ignore[arg-type]
        values[name] = bar + step * (best - bar)
    return values
