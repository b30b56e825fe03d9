"""Verdicts on a page: one sentence, a row for each criterion with its threshold, and the evidence over time."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from markupsafe import Markup

from rl_eval.evidence import EvidenceHistory
from rl_eval.formatting import COMPARISON_SIGNS, brief, times
from rl_eval.gates.verdict import CriterionVerdict, SuiteVerdict
from rl_eval.report import charts
from rl_eval.report.criterion_rows import REQUIREMENTS
from rl_eval.report.html_page import count, number
from rl_eval.run import worst_decision

WORDS = {
    "ERROR": "NOT FULLY JUDGED",
    "NEEDS_RUNS": "NEEDS RUNS",
    "NONE": "NOT JUDGED",
    "DAMAGED": "VERDICT CANNOT BE READ",
}
NOT_ON_TEST_SET = "The suite played validation episodes. Its test set was not used; the verdict of the gate is on that."
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_LARGEST_SPAN = 1e100
_MIN_POWER, _MAX_POWER = -2.0, 100.0  # log10 of the wealth that is drawn


@dataclass(frozen=True)
class Headline:
    """The verdict in a word and a sentence.

    Attributes:
        decision: one of `run.SEVERITY`, or NONE, or DAMAGED where the verdict cannot be read.
        more: further sentences.
    """

    decision: str
    word: str
    sentence: str
    more: tuple[str, ...] = ()


@dataclass(frozen=True)
class Evidence:
    """The evidence on one criterion over time: its interval, and the wealth of both sides; empty if none bet."""

    verdict: CriterionVerdict
    interval: Markup
    wealth: Markup


def headline(suites: Sequence[SuiteVerdict], *, damaged: bool = False) -> Headline:
    """All suites in one sentence without statistics.

    Args:
        damaged: whether there is a verdict that cannot be read.
    """
    if damaged:
        return Headline("DAMAGED", WORDS["DAMAGED"], "The run has a verdict.json that is damaged: judge the run again.")
    criteria = [row for suite in suites for row in suite.criteria]
    if not criteria:
        return Headline("NONE", WORDS["NONE"], "No suite has judged this run.")
    decision = worst_decision(row.decision for row in criteria)
    counts = Counter(row.decision for row in criteria)
    total = len(criteria)
    validation = on_validation(suites)
    if decision == "PASS":
        passing = counts["PASS"]
        sentence = f"All {passing} criteria pass." if passing > 1 else "The only criterion passes."
    elif decision == "NEEDS_RUNS":
        sentence = f"All {counts['PASS']} criteria on a single run pass. The verdict needs several runs."
    elif decision == "FAIL":
        failed = [row for row in criteria if row.decision == "FAIL"]
        missed = [_missed(row) for row in sorted(failed, key=lambda row: row.by != "evidence")]
        fails = _verb(counts["FAIL"], "fails", "fail")
        sentence = f"{counts['FAIL']} of {total} criteria {fails}: {'; '.join(missed[:3])}"
        sentence += f"; and {len(missed) - 3} more." if len(missed) > 3 else "."
    elif decision == "INCONCLUSIVE":
        undecided = ", ".join(row.criterion for row in criteria if row.decision == "INCONCLUSIVE")
        sentence = f"{counts['INCONCLUSIVE']} of {total} criteria could not be decided ({undecided})."
    else:
        first = next(row for row in criteria if row.decision == "ERROR")
        sentence = f"{counts['ERROR']} of {total} criteria could not be judged. "
        sentence += f"{first.criterion}: {brief(first.detail, 300)}"
    more = []
    if decision != "NEEDS_RUNS" and decision != "PASS" and counts["PASS"]:
        more.append(f"{counts['PASS']} {_verb(counts['PASS'], 'other passes', 'others pass')}.")
    if decision not in ("FAIL",) and counts["FAIL"]:
        failing = ", ".join(row.criterion for row in criteria if row.decision == "FAIL")
        more.append(f"{counts['FAIL']} {_verb(counts['FAIL'], 'fails', 'fail')}: {failing}.")
    if decision != "INCONCLUSIVE" and counts["INCONCLUSIVE"]:
        undecided = ", ".join(row.criterion for row in criteria if row.decision == "INCONCLUSIVE")
        more.append(f"{counts['INCONCLUSIVE']} could not be decided: {undecided}.")
    if counts["NEEDS_RUNS"]:
        waiting = ", ".join(row.criterion for row in criteria if row.decision == "NEEDS_RUNS")
        more.append(f"{counts['NEEDS_RUNS']} {_verb(counts['NEEDS_RUNS'], 'needs', 'need')} several runs: {waiting}.")
    if counts["NOT_CHECKED"]:
        unchecked = ", ".join(row.criterion for row in criteria if row.decision == "NOT_CHECKED")
        more.append(f"{counts['NOT_CHECKED']} {_verb(counts['NOT_CHECKED'], 'is', 'are')} not checked: {unchecked}.")
    if validation:
        more.append(NOT_ON_TEST_SET)
    return Headline(decision, with_part(WORDS.get(decision, decision), validation), sentence, tuple(more))


def on_validation(suites: Iterable[SuiteVerdict]) -> bool:
    """Whether a verdict is about the validation part, so that it is not the gate's."""
    return any(suite.part == "validation" for suite in suites)


def with_part(word: str, validation: bool) -> str:
    """The word of a verdict, which says what was played where that was not the test set."""
    return f"{word} on validation" if validation else word


def _verb(count: int, singular: str, plural: str) -> str:
    return singular if count == 1 else plural


def _missed(verdict: CriterionVerdict) -> str:
    if verdict.estimate is None or verdict.threshold is None:
        return f"{verdict.criterion} ({brief(verdict.detail, 200)})"
    than = (
        f" minus {times(verdict.factor)}that of {verdict.reference}"
        if verdict.reference and verdict.metric in verdict.detail
        else ""
    )
    value, bar = number(verdict.estimate, 4, verdict.threshold), number(verdict.threshold, 4, verdict.estimate)
    return f"{verdict.metric}{than} is {value}, required: {REQUIREMENTS.get(verdict.direction, '')}{bar}"


def is_point(interval: tuple[float | None, float | None] | None) -> bool:
    """Whether an interval is a single value, as of a finite set that was played as a whole."""
    return interval is not None and interval[0] is not None and interval[0] == interval[1]


def evidence(suite: SuiteVerdict) -> list[Evidence]:
    """The criteria of a suite that have an evidence history."""
    histories = [(row, row.history) for row in suite.criteria if row.history and _point_count(row.history)]
    drawn = [Evidence(row, *_evidence_charts(row, history, suite.alpha)) for row, history in histories]
    # Nothing was left to bet on where a finite set was played as a whole.
    return [replace(one, wealth=Markup("")) if is_point(one.verdict.interval) else one for one in drawn]


def _point_count(history: EvidenceHistory) -> int:
    return min(map(len, (history.units, history.lower, history.upper, history.for_pass, history.for_fail)))


def _evidence_charts(verdict: CriterionVerdict, history: EvidenceHistory, alpha: float) -> tuple[Markup, Markup]:
    length = _point_count(history)
    alpha = alpha if 0 < alpha < 1 else 0.05
    units = np.array([max(0, min(unit, 1 << 53)) for unit in history.units[:length]], np.float64)
    low, high = np.array(history.lower[:length]), np.array(history.upper[:length])
    ends = verdict.interval
    if ends is not None and is_point(ends) and units[-1] == verdict.units:
        low[-1], high[-1] = ends  # nothing is uncertain after the last unit of a set
    unit = f"{brief(verdict.unit or 'unit', 20)}s"
    threshold = verdict.threshold if verdict.threshold is not None else float("nan")
    bar = f"{COMPARISON_SIGNS.get(verdict.direction, '')} {number(threshold)}"
    first, last = f"{number(low[0], 3)} to {number(high[0], 3)}", f"{number(low[-1], 3)} to {number(high[-1], 3)}"
    description = f"Interval of {verdict.metric} over {unit}: {first} after the first, {last} after "
    description += f"{count(units[-1])}. The threshold is {bar}."
    shown_low, shown_high = _in_view(low, high, threshold)
    interval = charts.curves(
        [charts.Series("", units, shown_low, shown_low, shown_high), charts.Series("", units, shown_high)],
        description,
        x_label=unit,
        rule=(threshold, bar),
    )
    decides = -math.log10(alpha)
    powers = [np.array(side[:length], np.float64) / math.log(10) for side in (history.for_pass, history.for_fail)]
    sides = [np.nan_to_num(np.clip(power, _MIN_POWER, _MAX_POWER)) for power in powers]
    description = (
        f"Evidence after {count(units[-1])} {unit}: {_odds(sides[0][-1])} for PASS, {_odds(sides[1][-1])} for FAIL; "
    )
    description += f"{number(1 / alpha, 3)} to 1 decides."
    top = max(2, math.ceil(max(side.max() for side in sides)))
    step = max(1, (top + 2) // 4)
    wealth = charts.curves(
        [charts.Series("for PASS", units, sides[0]), charts.Series("for FAIL", units, sides[1], colour=2)],
        description,
        x_label=unit,
        rule=(decides, f"{number(1 / alpha, 3)} : 1 decides"),
        y_range=(-1.0, decides * 1.15),
        y_names=[(float(power), _power_name(power)) for power in range(-2, top + 1, step)],
    )
    return interval, wealth


def _in_view(low: np.ndarray, high: np.ndarray, threshold: float) -> tuple[np.ndarray, np.ndarray]:
    """Interval ends, cut off where the first ones are so wide that the last one and the threshold would be one line."""
    shown = [value for value in (low[-1], high[-1], threshold) if math.isfinite(value)]
    if not shown or (span := max(shown) - min(shown)) <= 0 or not span < _LARGEST_SPAN:
        return low, high
    first, last = min(shown) - 2 * span, max(shown) + 2 * span
    return np.clip(low, first, last), np.clip(high, first, last)


def _power_name(power: int) -> str:
    """The odds to 1 next to an axis, with room for 6 digits."""
    return number(10.0**power, 2) if -3 < power < 4 else f"10{str(power).translate(_SUPERSCRIPTS)}"


def _odds(power: float) -> str:
    if power < 0:
        return f"1 : {number(10.0 ** min(-power, 300), 2)}"
    return f"{number(10.0 ** min(power, 300), 2)} : 1"
