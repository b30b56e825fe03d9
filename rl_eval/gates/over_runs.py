"""Criteria over several training runs: their spread, or their mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from rl_eval.errors import InputError
from rl_eval.evidence import decide_over_runs, least_runs, power_note
from rl_eval.formatting import number
from rl_eval.gates.criterion import Criterion
from rl_eval.gates.criterion_check import blank_verdict
from rl_eval.gates.selection import BarePolicy
from rl_eval.gates.suite import Suite
from rl_eval.gates.verdict import CriterionVerdict, decide_by_estimate, decide_by_evidence
from rl_eval.run import Run


def verdict_over_runs(
    suite: Suite, criterion: Criterion, runs: Sequence[Run | BarePolicy], measured: Sequence[float | str]
) -> CriterionVerdict:
    """One number per run; by evidence runs are the units, and the verdict notes how little a few runs can show.

    Args:
        measured: the value of each run, or why there is none.
    """
    blank = replace(blank_verdict(suite, criterion), units=len(runs), units_max=len(runs))
    base, metric = criterion.base, criterion.metric
    assert base is not None
    assert blank.threshold is not None
    values = []
    for run, value in zip(runs, measured, strict=True):
        if isinstance(value, str):
            return replace(blank, detail=f"{run.path}: {value}", run=str(run.path))
        values.append(value)
    values_note = f" ({base.name} of each: {', '.join(number(value) for value in values)})"
    try:
        if criterion.spec.by == "estimate":
            estimate = float(metric.compute(np.array(values)))
            verdict = decide_by_estimate(blank, estimate, blank.threshold, f" over {len(runs)} runs")
            return replace(verdict, detail=verdict.detail + values_note)
        assert metric.statistic is not None
        result = decide_over_runs(
            np.array(values),
            blank.threshold,
            metric.statistic,
            suite.spec.alpha,
            blank.direction,  # type: ignore[arg-type]
            None if criterion.spec.assume == "normal" else criterion.bounds,
        )
    except InputError as error:
        return replace(blank, detail=str(error))
    note = _run_note(suite, criterion, len(runs))
    verdict = decide_by_evidence(replace(blank, population="source"), result, blank.threshold)
    return replace(verdict, detail=verdict.detail + values_note + note)


def _run_note(suite: Suite, criterion: Criterion, runs: int) -> str:
    """What the evidence over runs rests on, and how little so few runs can show."""
    alpha, statistic = suite.spec.alpha, criterion.metric.statistic
    assert statistic is not None
    if criterion.spec.assume == "normal":
        power = "" if statistic == "mean" else f"; {power_note(runs, alpha)}"
        return f"; assumes that runs are normally distributed, which is wrong if some collapse{power}"
    blank = blank_verdict(suite, criterion)
    assert criterion.bounds is not None
    assert blank.threshold is not None
    least = least_runs(blank.threshold, criterion.bounds, statistic, alpha, blank.direction)  # type: ignore[arg-type]
    if least is None:
        return "; no number of runs could pass, because only the bounds are assumed"
    return f"; fewer than {least:,} runs could not pass, because only the bounds are assumed"
