"""The criteria of a suite as rows of a table: numbers with their units, and drawings of intervals and thresholds."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from markupsafe import Markup

from rl_eval.errors import InputError
from rl_eval.formatting import COMPARISON_SIGNS, brief
from rl_eval.gates.verdict import DIRECTION_SIGNS, CriterionVerdict, SuiteVerdict
from rl_eval.metrics import Metric, lookup
from rl_eval.report import charts
from rl_eval.report.html_page import count, number

REQUIREMENTS = {"at_least": "at least ", "at_most": "at most ", "better_than": "more than ", "less_than": "less than "}
_LARGEST_SPAN = 1e100


@dataclass(frozen=True)
class Row:
    """One criterion in a table."""

    verdict: CriterionVerdict
    estimate: str
    threshold: str
    units: str
    drawing: Markup
    measured_in: str = ""


def criteria(suite: SuiteVerdict) -> list[Row]:
    """The criteria in a suite's file, in its order, without `plumbing`. Those on one metric share a scale."""
    shown = [row for row in suite.criteria if not _is_check(row) and not _is_plumbing(row)]
    return [_row(row, _shared_bounds(row, shown)) for row in shown]


def plumbing(suite: SuiteVerdict) -> list[CriterionVerdict]:
    """Criteria that pass and are about the run or its training, not about the task, such as complete files."""
    return [row for row in suite.criteria if not _is_check(row) and _is_plumbing(row)]


def _is_plumbing(verdict: CriterionVerdict) -> bool:
    metric = _metric(verdict)
    return verdict.decision == "PASS" and metric is not None and metric.kind in ("training", "artefact")


def _metric(verdict: CriterionVerdict) -> Metric | None:
    """The metric of a criterion; None if this version does not know it."""
    try:
        return lookup(verdict.metric)
    except InputError:
        return None


def _shared_bounds(verdict: CriterionVerdict, rows: Iterable[CriterionVerdict]) -> tuple[float, float] | None:
    """The range of all criteria on the same metric and the same kind of value; None if there is only one."""
    alike = [row for row in rows if (row.metric, row.reference) == (verdict.metric, verdict.reference)]
    values = [value for row in alike for value in (row.estimate, row.threshold, *(row.interval or ()))]
    finite = [value for value in values if value is not None and abs(value) < _LARGEST_SPAN]
    return (min(finite), max(finite)) if len(alike) > 1 and finite else None


def checks(suite: SuiteVerdict) -> list[CriterionVerdict]:
    """The checks of the verdict itself, such as controls and the held-out guard."""
    return [row for row in suite.criteria if _is_check(row)]


def reasons(suite: SuiteVerdict) -> list[CriterionVerdict]:
    """The criteria that do not pass: first those about the task, on which evidence was collected."""
    missed = [row for row in suite.criteria if row.decision in ("FAIL", "INCONCLUSIVE", "ERROR") and not _is_check(row)]
    return sorted(missed, key=lambda row: row.by != "evidence")


def _is_check(verdict: CriterionVerdict) -> bool:
    return verdict.metric == verdict.criterion and verdict.threshold is None and verdict.estimate is None


def _row(verdict: CriterionVerdict, bounds: tuple[float, float] | None) -> Row:
    metric = _metric(verdict)
    return Row(
        verdict,
        number(verdict.estimate, 4, verdict.threshold),
        f"{COMPARISON_SIGNS.get(verdict.direction, '')} {number(verdict.threshold, 4, verdict.estimate)}",
        _units(verdict),
        drawing(verdict, bounds),
        "" if metric is None else metric.measured_in,
    )


def _units(verdict: CriterionVerdict) -> str:
    if verdict.units is None:
        return ""
    name = f" {brief(verdict.unit, 20)}{'' if verdict.units == 1 else 's'}" if verdict.unit else ""
    decided = f", decided after {count(verdict.decided_at)}" if verdict.decided_at not in (None, verdict.units) else ""
    if verdict.units_max is not None and verdict.units_max != verdict.units:
        return f"{count(verdict.units)} of {count(verdict.units_max)}{name}{decided}"
    return f"{count(verdict.units)}{name}{decided}" if verdict.units > 1 else ""


def drawing(verdict: CriterionVerdict, bounds: tuple[float, float] | None = None, *, small: bool = False) -> Markup:
    """The interval and the threshold; empty if there is no interval, and the estimate is the threshold."""
    if verdict.threshold is None or not abs(verdict.threshold) < 1e100:
        return Markup("")
    if verdict.interval is None and (verdict.estimate is None or verdict.estimate == verdict.threshold):
        return Markup("")
    low, high = verdict.interval or (verdict.estimate, verdict.estimate)
    ends = "" if verdict.interval is None else f", interval from {_end(low, '−∞')} to {_end(high, '∞')}"
    required = f"{REQUIREMENTS.get(verdict.direction, '')}{number(verdict.threshold, 4, verdict.estimate)}"
    description = f"Estimate {number(verdict.estimate, 4, verdict.threshold)}{ends}; required: {required}."
    above = DIRECTION_SIGNS.get(verdict.direction, 1.0) > 0
    if verdict.interval is None:
        low = high = verdict.estimate
    return charts.interval(verdict.estimate, low, high, verdict.threshold, above, description, bounds, small=small)


def _end(value: float | None, infinite: str) -> str:
    return infinite if value is None else number(value, 3)
