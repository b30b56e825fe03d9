"""What a suite found, as data: for the terminal, `verdict.json`, pytest and the report."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from rl_eval.evidence import EvidenceHistory, EvidenceResult, meets
from rl_eval.formatting import COMPARISON_SIGNS, number

# INCONCLUSIVE: the evidence did not suffice; NEEDS_RUNS is what one run cannot show, said by train.py alone.
Decision = Literal["PASS", "FAIL", "INCONCLUSIVE", "ERROR", "NEEDS_RUNS"]


@dataclass(frozen=True)
class CriterionVerdict:
    """One criterion of one suite.

    Attributes:
        metric: what was measured.
        decision: and `detail` is one sentence why; for NEEDS_RUNS, the command that trains them.
        estimate: of the run that decided, the worst one.
        interval: of the true value by evidence, with probability 1-2·alpha; an end is None where nothing is known.
        direction: at_least, at_most, better_than (above a reference) or less_than (below a reference).
        threshold: what it is compared with; with a reference, the reference's own value and the margin.
        misses_by: how far the estimate lies on the wrong side; None where it passes.
        units, units_max: how many were used, of how many that may be; `unit` says of what.
        run: the directory of the run that decided.
        more: for INCONCLUSIVE, about how many further units would decide; None where that cannot be said.
        population: by evidence, whether it speaks of cases to come (source) or of this finite set (set).
        reference: the policy that the estimate is a paired difference to, or whose value the threshold is.
        history: by evidence, how it grew while the policy of `run` played.
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
    run: str | None = None
    more: int | None = None
    population: str | None = None
    reference: str | None = None
    history: EvidenceHistory | None = None

    @property
    def lead(self) -> float:
        """How far the estimate lies on the passing side of the threshold; minus infinity where there is none."""
        if self.estimate is None or self.threshold is None:
            return -math.inf
        return SIGNS[self.direction] * (self.estimate - self.threshold)


@dataclass(frozen=True)
class SuiteVerdict:
    """Every criterion of one suite, in the order of the file, then what pytest shows beside them.

    Attributes:
        alpha: chance that one criterion by evidence accepts a policy below the bar.
        test_set: the fingerprint of the test set; None where it cannot be known.
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

    @property
    def passed(self) -> bool:
        """Whether every criterion passes."""
        return self.decision == "PASS"

    @property
    def decision(self) -> Decision:
        """The worst of the criteria's."""
        decisions = {criterion.decision for criterion in self.criteria}
        order: tuple[Decision, ...] = ("ERROR", "FAIL", "INCONCLUSIVE", "NEEDS_RUNS")
        return next((each for each in order if each in decisions), "PASS")

    def with_note(self, criterion: str, note: str) -> SuiteVerdict:
        """The same with something more to say of one criterion."""
        noted = [replace(c, detail=f"{c.detail}; {note}") if c.criterion == criterion else c for c in self.criteria]
        return replace(self, criteria=tuple(noted))

    def rows(self) -> list[dict[str, Any]]:
        """One mapping a criterion, as tables take them: the fields of `CriterionVerdict`."""
        return [asdict(criterion) for criterion in self.criteria]

    def to_json(self) -> dict[str, Any]:
        """An entry of `verdict.json`'s `suites`; `from_json` takes it back."""
        return {**asdict(self), "passed": self.passed}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> SuiteVerdict:
        """The inverse of `to_json`."""
        criteria = tuple(map(_criterion, values["criteria"]))
        given = {name: value for name, value in values.items() if name != "passed"}
        return cls(**{**given, "runs": tuple(given["runs"]), "criteria": criteria})


def _criterion(values: Mapping[str, Any]) -> CriterionVerdict:
    interval, history = values.get("interval"), values.get("history")
    grown = EvidenceHistory(**{name: tuple(points) for name, points in history.items()}) if history else None
    return CriterionVerdict(**{**values, "interval": tuple(interval) if interval else None, "history": grown})


SIGNS = {"at_least": 1.0, "better_than": 1.0, "at_most": -1.0, "less_than": -1.0}
_SAID = {"PASS": "passed after", "FAIL": "failed after", "INCONCLUSIVE": "undecided after"}
# A side of the interval that is longer than the other by more than this is told apart.
_SKEWED = 1.5


def decide(blank: CriterionVerdict, estimate: float, threshold: float, of: str) -> CriterionVerdict:
    """PASS or FAIL by the plain number.

    Args:
        blank: the verdict without a decision.
        of: what the estimate is over, such as `over 100 episodes`.
    """
    passes = meets(estimate, threshold, blank.direction)  # type: ignore[arg-type]
    found = replace(blank, decision="PASS" if passes else "FAIL", estimate=estimate, threshold=threshold)
    numbers = number(estimate, distinct_from=threshold), number(threshold, distinct_from=estimate)
    words = {"better_than": "better than", "less_than": "better than (below)"}.get(blank.direction, blank.direction)
    detail = f"{blank.metric} {numbers[0]}{of} {'meets' if passes else 'misses'} {words} {numbers[1]}"
    if not passes:
        detail += f" by {number(-found.lead)}"
    return replace(found, detail=detail, misses_by=None if passes else -found.lead)


def decided(
    blank: CriterionVerdict,
    found: EvidenceResult,
    threshold: float,
    note: str = "",
    history: EvidenceHistory | None = None,
) -> CriterionVerdict:
    """What the evidence said, in one sentence.

    Args:
        blank: the verdict without a decision, its units_max, population and reference set.
        threshold: of the estimate that the evidence is about.
        note: what else is to be known, such as the reference's own value.
        history: how the evidence grew.
    """
    low, high = found.interval
    verdict = replace(
        blank,
        decision=found.decision,
        estimate=found.estimate,
        threshold=threshold,
        interval=(low if math.isfinite(low) else None, high if math.isfinite(high) else None),
        units=found.stopped_at,
        more=found.more,
        history=history,
    )
    if found.decision != "PASS" and verdict.lead <= 0:
        verdict = replace(verdict, misses_by=-verdict.lead)
    sign = COMPARISON_SIGNS[verdict.direction]
    said = f"{verdict.metric} {with_interval(verdict)} {sign} {number(threshold)}{note}: "
    said += f"{_SAID[found.decision]} {_of_units(verdict)}"
    if verdict.decision == "FAIL" and verdict.misses_by:
        said += f", short by {number(verdict.misses_by)}"
    if found.message:
        said += f"; {found.message}"
    elif found.more is not None:
        said += f", about {found.more:,} more would likely decide"
    return replace(verdict, detail=said)


def with_interval(verdict: CriterionVerdict) -> str:
    """`252 ± 21`, or `0.93 in [0.81, 0.95]` where the interval leans to one side."""
    estimate = number(verdict.estimate, distinct_from=verdict.threshold)
    if verdict.interval is None or verdict.estimate is None:
        return estimate
    low, high = verdict.interval
    if low is None or high is None:
        ends = ["?" if end is None else number(end, 3) for end in (low, high)]
        return f"{estimate} in [{', '.join(ends)}]"
    if low == high:
        return estimate
    below, above = verdict.estimate - low, high - verdict.estimate
    if min(below, above) > 0 and max(below, above) <= _SKEWED * min(below, above):
        return f"{estimate} ± {number(max(below, above), 2)}"
    return f"{estimate} in [{number(low, 3)}, {number(high, 3)}]"


def _of_units(verdict: CriterionVerdict) -> str:
    of_set = " of the set" if verdict.population == "set" else ""
    most = f" of {verdict.units_max:,}" if verdict.units_max is not None else ""
    return f"{verdict.units:,}{most} {verdict.unit}s{of_set}"
