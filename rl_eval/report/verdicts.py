"""Verdicts as a page shows them: one sentence first, then each criterion against its threshold, then its evidence."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from rl_eval.evidence import EvidenceHistory
from rl_eval.formatting import COMPARISON_SIGNS, brief
from rl_eval.gates.verdict import DIRECTION_SIGNS, CriterionVerdict, SuiteVerdict
from rl_eval.report import charts
from rl_eval.report.page import count, number

SEVERITY = ("ERROR", "FAIL", "INCONCLUSIVE", "NEEDS_RUNS", "PASS")
WORDS = {
    "ERROR": "NOT ALL COULD BE JUDGED",
    "NEEDS_RUNS": "PASS, as far as one run can show",
    "NONE": "NOT JUDGED",
}
_ASKED = {"at_least": "at least ", "at_most": "at most ", "better_than": "more than ", "less_than": "less than "}
_FAINTEST, _STRONGEST = -2.0, 100.0  # log10 of the wealth that is drawn


@dataclass(frozen=True)
class Headline:
    """The verdict in a word and a sentence.

    Attributes:
        decision: one of `SEVERITY`, or NONE.
        more: further sentences.
    """

    decision: str
    word: str
    sentence: str
    more: tuple[str, ...] = ()


@dataclass(frozen=True)
class Row:
    """One criterion in a table."""

    verdict: CriterionVerdict
    estimate: str
    threshold: str
    units: str
    drawing: Markup


@dataclass(frozen=True)
class Evidence:
    """How the evidence on one criterion grew: its interval, and both sides' wealth."""

    verdict: CriterionVerdict
    interval: Markup
    wealth: Markup


def headline(suites: Sequence[SuiteVerdict]) -> Headline:
    """All suites in one sentence that needs no knowledge of statistics."""
    criteria = [each for suite in suites for each in suite.criteria]
    if not criteria:
        return Headline("NONE", WORDS["NONE"], "No suite has judged this run, so nothing is known of how good it is.")
    decision = worst(each.decision for each in criteria)
    counts = Counter(each.decision for each in criteria)
    many = len(criteria)
    if decision == "PASS":
        sentence = f"All {many} criteria pass." if many > 1 else "The one criterion passes."
    elif decision == "NEEDS_RUNS":
        sentence = f"Every criterion that one run can show passes, {counts['PASS']} in all."
    elif decision == "FAIL":
        missed = [_missed(each) for each in criteria if each.decision == "FAIL"]
        fails = _verb(counts["FAIL"], "fails", "fail")
        sentence = f"{counts['FAIL']} of {many} criteria {fails}: {'; '.join(missed[:3])}"
        sentence += f"; and {len(missed) - 3} more." if len(missed) > 3 else "."
    elif decision == "INCONCLUSIVE":
        sentence = f"{counts['INCONCLUSIVE']} of {many} criteria could not be decided: the evidence did not suffice."
    else:
        first = next(each for each in criteria if each.decision == "ERROR")
        sentence = f"{counts['ERROR']} of {many} criteria could not be judged. "
        sentence += f"{first.criterion}: {brief(first.detail, 300)}"
    more = []
    if decision != "NEEDS_RUNS" and decision != "PASS" and counts["PASS"]:
        more.append(f"{counts['PASS']} {_verb(counts['PASS'], 'other passes', 'others pass')}.")
    if decision not in ("FAIL",) and counts["FAIL"]:
        failing = ", ".join(each.criterion for each in criteria if each.decision == "FAIL")
        more.append(f"{counts['FAIL']} {_verb(counts['FAIL'], 'fails', 'fail')}: {failing}.")
    if counts["NEEDS_RUNS"]:
        waiting = ", ".join(each.criterion for each in criteria if each.decision == "NEEDS_RUNS")
        said = _verb(counts["NEEDS_RUNS"], "speaks of several runs and awaits", "speak of several runs and await")
        more.append(f"{counts['NEEDS_RUNS']} {said} them: {waiting}.")
    return Headline(decision, WORDS.get(decision, decision), sentence, tuple(more))


def worst(decisions: Iterable[str]) -> str:
    """The worst of some decisions; NONE where there is none."""
    found = set(decisions)
    return next((each for each in SEVERITY if each in found), "NONE")


def _verb(many: int, one: str, more: str) -> str:
    return one if many == 1 else more


def _missed(verdict: CriterionVerdict) -> str:
    if verdict.estimate is None or verdict.threshold is None:
        return f"{verdict.criterion} ({brief(verdict.detail, 200)})"
    than = f" less that of {verdict.reference}" if verdict.reference and verdict.metric in verdict.detail else ""
    value, bar = number(verdict.estimate, 4, verdict.threshold), number(verdict.threshold, 4, verdict.estimate)
    return f"{verdict.metric}{than} is {value} where {_ASKED.get(verdict.direction, '')}{bar} is asked for"


def criteria(suite: SuiteVerdict) -> list[Row]:
    """The criteria of a suite that have a threshold, in the order of its file."""
    return [_row(each) for each in suite.criteria if not _stands_beside(each)]


def checks(suite: SuiteVerdict) -> list[CriterionVerdict]:
    """What stands beside the criteria: controls, held-out guard and the like."""
    return [each for each in suite.criteria if _stands_beside(each)]


def _stands_beside(verdict: CriterionVerdict) -> bool:
    return verdict.metric == verdict.criterion and verdict.threshold is None and verdict.estimate is None


def _row(verdict: CriterionVerdict) -> Row:
    return Row(
        verdict,
        number(verdict.estimate, 4, verdict.threshold),
        f"{COMPARISON_SIGNS.get(verdict.direction, '')} {number(verdict.threshold, 4, verdict.estimate)}",
        _units(verdict),
        drawn(verdict),
    )


def _units(verdict: CriterionVerdict) -> str:
    if verdict.units is None:
        return ""
    name = f" {brief(verdict.unit, 20)}{'' if verdict.units == 1 else 's'}" if verdict.unit else ""
    if verdict.units_max is not None and verdict.units_max != verdict.units:
        return f"{count(verdict.units)} of {count(verdict.units_max)}{name}"
    return f"{count(verdict.units)}{name}" if verdict.units > 1 else ""


def drawn(verdict: CriterionVerdict, bounds: tuple[float, float] | None = None, *, small: bool = False) -> Markup:
    """The interval against the threshold; nothing where there is neither interval nor distance to see."""
    if verdict.threshold is None or not abs(verdict.threshold) < 1e100:
        return Markup("")
    if verdict.interval is None and (verdict.estimate is None or verdict.estimate == verdict.threshold):
        return Markup("")
    low, high = verdict.interval or (verdict.estimate, verdict.estimate)
    ends = "" if verdict.interval is None else f", interval from {_end(low)} to {_end(high)}"
    asked = f"{_ASKED.get(verdict.direction, '')}{number(verdict.threshold, 4, verdict.estimate)}"
    described = f"Estimate {number(verdict.estimate, 4, verdict.threshold)}{ends}; {asked} is asked for."
    above = DIRECTION_SIGNS.get(verdict.direction, 1.0) > 0
    if verdict.interval is None:
        low = high = verdict.estimate
    return charts.interval(verdict.estimate, low, high, verdict.threshold, above, described, bounds, small=small)


def _end(value: float | None) -> str:
    return "unknown" if value is None else number(value, 3)


def evidence(suite: SuiteVerdict) -> list[Evidence]:
    """The criteria of a suite whose evidence history is known."""
    grown = [(each, each.history) for each in suite.criteria if each.history and _point_count(each.history)]
    return [Evidence(each, *_grown(each, history, suite.alpha)) for each, history in grown]


def _point_count(history: EvidenceHistory) -> int:
    return min(map(len, (history.units, history.lower, history.upper, history.for_pass, history.for_fail)))


def _grown(verdict: CriterionVerdict, history: EvidenceHistory, alpha: float) -> tuple[Markup, Markup]:
    length = _point_count(history)
    alpha = alpha if 0 < alpha < 1 else 0.05
    units = np.array([max(0, min(unit, 1 << 53)) for unit in history.units[:length]], np.float64)
    low, high = np.array(history.lower[:length]), np.array(history.upper[:length])
    unit = f"{brief(verdict.unit or 'unit', 20)}s"
    threshold = verdict.threshold if verdict.threshold is not None else float("nan")
    bar = f"{COMPARISON_SIGNS.get(verdict.direction, '')} {number(threshold)}"
    first, last = f"{number(low[0], 3)} to {number(high[0], 3)}", f"{number(low[-1], 3)} to {number(high[-1], 3)}"
    said = f"Interval of {verdict.metric} as {unit} came in: from {first} after the first, from {last} "
    said += f"after {count(units[-1])}. The threshold is {bar}."
    narrowing = charts.curves(
        [charts.Series("", units, low, low, high), charts.Series("", units, high)],
        said,
        x_label=unit,
        rule=(threshold, bar),
    )
    decides = -math.log10(alpha)
    powers = [np.array(side[:length], np.float64) / math.log(10) for side in (history.for_pass, history.for_fail)]
    sides = [np.nan_to_num(np.clip(each, _FAINTEST, _STRONGEST)) for each in powers]
    said = f"Evidence after {count(units[-1])} {unit}: {_odds(sides[0][-1])} for PASS, {_odds(sides[1][-1])} for FAIL; "
    said += f"{number(1 / alpha, 3)} to 1 decides."
    top = max(2, math.ceil(max(side.max() for side in sides)))
    step = max(1, (top + 2) // 4)
    wealth = charts.curves(
        [charts.Series("for PASS", units, sides[0]), charts.Series("for FAIL", units, sides[1], colour=2)],
        said,
        x_label=unit,
        rule=(decides, f"{number(1 / alpha, 3)} : 1 decides"),
        y_range=(-1.0, decides * 1.15),
        y_names=[(float(power), _odds(power)) for power in range(-2, top + 1, step)],
    )
    return narrowing, wealth


def _odds(power: float) -> str:
    if power < 0:
        return f"1 : {number(10.0 ** min(-power, 300), 2)}"
    return f"{number(10.0 ** min(power, 300), 2)} : 1"
