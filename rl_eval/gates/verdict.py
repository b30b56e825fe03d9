"""The verdict of a suite as data: for the terminal, `verdict.json`, pytest and the report."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from rl_eval.evidence import Change, EvidenceHistory, EvidenceResult, meets
from rl_eval.formatting import COMPARISON_SIGNS, interval_ends, number, quantity
from rl_eval.gates.compared import PlayedUnits
from rl_eval.gates.suite import JudgedPart

# INCONCLUSIVE: the evidence did not suffice; NEEDS_RUNS, only from train.py, is what one run cannot show; NOT_CHECKED,
# only of `held_out`, does not change the result of the suite.
Decision = Literal["PASS", "FAIL", "INCONCLUSIVE", "ERROR", "NEEDS_RUNS", "NOT_CHECKED"]


@dataclass(frozen=True)
class CriterionVerdict:
    """One criterion of one suite.

    Attributes:
        metric: what was measured.
        decision: and `detail` is one sentence why; for NEEDS_RUNS, the command that trains them.
        estimate: of the run that decided, the worst one; of all units that were played.
        interval: of the true value by evidence, with probability 1-2·alpha, from the same units; an end is None where
            it is unbounded.
        direction: at_least, at_most, better_than (above a reference) or less_than (below a reference).
        threshold: what it is compared with; with a reference, the margin by evidence, and by estimate the reference's
            own value with factor and margin.
        misses_by: how far the estimate is on the wrong side; None if it passes.
        units, units_max: how many were played, of how many that may be; `unit` says of what.
        decided_at: by evidence, units after which the evidence sufficed.
        run: the directory of the run that decided.
        more: for INCONCLUSIVE, about how many further units would decide; None if that cannot be estimated.
        population: by evidence, whether it is about future cases (source) or about this finite set (set).
        reference: the policy that the estimate is a paired difference to, or whose value the threshold is.
        factor: of the reference's value; None if it is compared as it is.
        played: by evidence over episodes, what the policy of `run` had in each of them.
        history: by evidence, how it grew while the policy of `run` played.
        worst: the episodes of `run` that were worst by the metric, the worst first: the seed, or the index in a finite
            set, and the value.
    """

    suite: str
    criterion: str
    metric: str
    decision: Decision
    detail: str
    by: str
    direction: str
    threshold: float | None = None
    estimate: float | None = None
    interval: tuple[float | None, float | None] | None = None
    misses_by: float | None = None
    units: int | None = None
    units_max: int | None = None
    unit: str | None = None
    decided_at: int | None = None
    run: str | None = None
    more: int | None = None
    population: str | None = None
    reference: str | None = None
    history: EvidenceHistory | None = None
    factor: float | None = None
    worst: tuple[tuple[int, float], ...] = ()
    played: PlayedUnits | None = None

    @property
    def lead(self) -> float:
        """How far the estimate is on the passing side of the threshold; minus infinity where there is none."""
        if self.estimate is None or self.threshold is None:
            return -math.inf
        return DIRECTION_SIGNS[self.direction] * (self.estimate - self.threshold)


@dataclass(frozen=True)
class SuiteVerdict:
    """Every criterion of one suite, in the order of the file, then the other items that pytest shows.

    Attributes:
        alpha: chance that one criterion by evidence accepts a policy below the bar.
        test_set: the fingerprint of the test set; None if it cannot be known.
        passed_over: one sentence for each run that cannot be read, and so was not considered.
        judged: a line on each of the first runs, with its age and what differs from `train:`.
        part: what was played. A verdict on `validation` helps to choose between runs; it is not the gate's.
        test_data: a line on what was played; see `premises.describe_test_set`.
        assumed: what the verdict takes for granted, a phrase each; see `premises.assumptions`.
        defined_by: what defines the values of `played`; see `value_definition`.
        train_command: if there is no run, the command that trains one.
    """

    suite: str
    file: str
    env: str
    policy: str
    gate_seed: int
    runs: tuple[str, ...]
    criteria: tuple[CriterionVerdict, ...]
    alpha: float = 0.05
    test_set: str | None = None
    passed_over: tuple[str, ...] = ()
    judged: tuple[str, ...] = ()
    part: JudgedPart = "test"
    test_data: str | None = None
    assumed: tuple[str, ...] = ()
    train_command: str | None = None
    defined_by: Mapping[str, str] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """Whether every criterion that was checked passes, and at least one was."""
        return self.decision == "PASS"

    @property
    def decision(self) -> Decision:
        """The worst of the criteria's; what was not checked does not count, unless that is all there is."""
        decisions = {criterion.decision for criterion in self.criteria}
        order: tuple[Decision, ...] = ("ERROR", "FAIL", "INCONCLUSIVE", "NEEDS_RUNS")
        otherwise: Decision = "PASS" if "PASS" in decisions else "NOT_CHECKED"
        return next((decision for decision in order if decision in decisions), otherwise)

    def with_note(self, criterion: str, note: str) -> SuiteVerdict:
        """The same with one more note on a criterion."""
        noted = [replace(c, detail=f"{c.detail}; {note}") if c.criterion == criterion else c for c in self.criteria]
        return replace(self, criteria=tuple(noted))

    def rows(self) -> list[dict[str, Any]]:
        """One mapping per criterion, as tables take them: the fields of `CriterionVerdict`, and `part`."""
        return [{**asdict(criterion), "part": self.part} for criterion in self.criteria]

    def facts(self) -> list[tuple[str, str]]:
        """What the decisions are about and rest on, pairs of a label and a text, as a terminal shows them."""
        pairs = [("judged", line) for line in self.judged]
        played = "test set" if self.part == "test" else "validation"
        return [*pairs, (played, self.test_data or ""), ("assumed", "; ".join(self.assumed))]

    def to_json(self) -> dict[str, Any]:
        """An entry of `verdict.json`'s `suites`; `from_json` takes it back."""
        return {**asdict(self), "passed": self.passed}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> SuiteVerdict:
        """The inverse of `to_json`."""
        criteria = tuple(map(_criterion, values["criteria"]))
        fields = {name: value for name, value in values.items() if name != "passed"}
        tuples = {name: tuple(fields[name]) for name in ("runs", "passed_over", "judged", "assumed")}
        return cls(**{**fields, **tuples, "criteria": criteria})


def _criterion(values: Mapping[str, Any]) -> CriterionVerdict:
    interval, history, played = values.get("interval"), values.get("history"), values.get("played")
    points = EvidenceHistory(**{name: tuple(series) for name, series in history.items()}) if history else None
    units = PlayedUnits(**{name: tuple(series) for name, series in played.items()}) if played else None
    worst = tuple((seed, value) for seed, value in values.get("worst", ()))
    fields = {**values, "interval": tuple(interval) if interval else None, "history": points, "worst": worst}
    return CriterionVerdict(**{**fields, "played": units})


def item_verdict(suite: str, item: str) -> CriterionVerdict:
    """The verdict of a pytest item that is not a criterion, such as `::controls`, without a decision."""
    return CriterionVerdict(
        suite=suite,
        criterion=item,
        metric=item,
        decision="ERROR",
        detail="",
        by="evidence",
        direction="",
        unit="policy",
    )


DIRECTION_SIGNS = {"at_least": 1.0, "better_than": 1.0, "at_most": -1.0, "less_than": -1.0}
_DECIDED = {"PASS": "passed", "FAIL": "failed", "INCONCLUSIVE": "undecided"}


def decide_by_estimate(blank: CriterionVerdict, estimate: float, threshold: float, of: str) -> CriterionVerdict:
    """PASS or FAIL by the plain number.

    Args:
        blank: the verdict without a decision.
        of: what the estimate is over, such as `over 100 episodes`.
    """
    passes = meets(estimate, threshold, blank.direction)  # type: ignore[arg-type]
    verdict = replace(blank, decision="PASS" if passes else "FAIL", estimate=estimate, threshold=threshold)
    numbers = number(estimate, distinct_from=threshold), number(threshold, distinct_from=estimate)
    better = {"better_than": "better than", "less_than": "better than (below)"}.get(blank.direction)
    if better is None:
        words, short = f"{'meets' if passes else 'misses'} {blank.direction}", " by"
    else:
        words, short = f"is {'' if passes else 'not '}{better}", ", short by"
    detail = f"{blank.metric} {numbers[0]}{of} {words} {numbers[1]}"
    if not passes:
        detail += f"{short} {number(-verdict.lead)}"
    return replace(verdict, detail=detail, misses_by=None if passes else -verdict.lead)


def decide_by_evidence(
    blank: CriterionVerdict,
    result: EvidenceResult,
    threshold: float,
    history: EvidenceHistory | None = None,
    change: Change | None = None,
    *,
    used_up: bool = False,
) -> CriterionVerdict:
    """The decision of the evidence, with one sentence.

    Args:
        blank: the verdict without a decision, its units_max, population and reference set.
        threshold: of the estimate that the evidence is about.
        history: how the evidence grew.
        change: what the order of play shows; a policy that changed while it was judged does not pass.
        used_up: whether the whole of a finite set was played, so that only more data gives more units.
    """
    low, high = result.interval
    changed = change is not None and change.changed
    decision: Decision = "INCONCLUSIVE" if changed and result.decision == "PASS" else result.decision
    verdict = replace(
        blank,
        decision=decision,
        estimate=result.estimate,
        threshold=threshold,
        interval=(low if math.isfinite(low) else None, high if math.isfinite(high) else None),
        units=result.units,
        decided_at=result.decided_at,
        more=result.more,
        history=history,
    )
    if decision != "PASS" and verdict.lead <= 0:
        verdict = replace(verdict, misses_by=-verdict.lead)
    sign = COMPARISON_SIGNS[verdict.direction]
    detail = f"{verdict.metric} {format_estimate(verdict)} {sign} {number(threshold)}: "
    detail += f"{_DECIDED[decision]} {_after_units(verdict)}"
    if verdict.decision == "FAIL" and verdict.misses_by:
        detail += f", short by {number(verdict.misses_by)}"
    if result.message:
        detail += f"; {result.message}"
    elif result.more is not None:
        detail += f", about {result.more:,} more would likely decide"
        detail += "" if verdict.unit == "run" or used_up else "; another episodes.max is another evaluation"
    if decision == "INCONCLUSIVE" and used_up:
        detail += f"; the whole test set is played: {more_than_the_set(verdict.population)}"
    if decision in ("PASS", "FAIL") and low <= threshold <= high and low < high:
        detail += "; the interval over everything played contains the threshold again"
    return replace(verdict, detail=detail + _order_note(change, changed))


def undecided(verdict: CriterionVerdict, reason: str) -> CriterionVerdict:
    """A criterion that was played and cannot be decided, with its estimate."""
    shown = f"{verdict.metric} {format_estimate(verdict)} {COMPARISON_SIGNS[verdict.direction]} "
    shown += number(verdict.threshold)
    return replace(verdict, decision="INCONCLUSIVE", detail=f"{shown}: {reason}", decided_at=None, more=None)


def more_than_the_set(population: str | None) -> str:
    """What else decides where every episode of a finite set is played."""
    exact = "; for data of a domain, population: set judges exactly this set, and says nothing about other data"
    return "give more data" + ("" if population == "set" else exact)


def _order_note(change: Change | None, changed: bool) -> str:
    if change is None:
        return ""
    notes = ""
    if changed:
        thirds = f"{number(change.first)} in the first third of play and {number(change.last)} in the last"
        notes += f"; the policy changed while it was judged: {thirds}, so PASS cannot be claimed"
    if change.correlation is not None:
        notes += f"; warning: neighbouring units are correlated ({number(change.correlation, 2)}), so they may depend "
        notes += "on each other, and then alpha does not hold"
    return notes


def format_estimate(verdict: CriterionVerdict) -> str:
    """`252 ± 21` where both sides of the interval are equal as written, else `0.93 in [0.81, 0.95]`."""
    estimate = number(verdict.estimate, distinct_from=verdict.threshold)
    if verdict.interval is None or verdict.estimate is None:
        return estimate
    low, high = verdict.interval
    if low is not None and high is not None:
        if low == high:
            return estimate
        below, above = number(verdict.estimate - low, 2), number(high - verdict.estimate, 2)
        if below == above:
            return f"{estimate} ± {above}"
    first, last = interval_ends(verdict.interval)
    return f"{estimate} in [{first}, {last}]"


def _after_units(verdict: CriterionVerdict) -> str:
    """`after 57 episodes, 100 of 400 played`, or `after 400 episodes`."""
    of_set = " of the set" if verdict.population == "set" else ""
    assert verdict.units is not None
    unit = verdict.unit or "unit"
    if verdict.decided_at is None or verdict.decided_at == verdict.units:
        played = quantity(verdict.units if verdict.units_max is None else verdict.units_max, unit)
        return f"after {'' if verdict.units_max is None else f'{verdict.units:,} of '}{played}{of_set}"
    most = "" if verdict.units_max is None else f" of {verdict.units_max:,}"
    return f"after {quantity(verdict.decided_at, unit)}, {verdict.units:,}{most}{of_set} played"
