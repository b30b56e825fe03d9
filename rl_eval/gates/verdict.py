"""What a suite found, as data: for the terminal, `verdict.json`, pytest and the report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

# INCONCLUSIVE comes with evidence; NEEDS_RUNS is what one run cannot show, said by train.py alone.
Decision = Literal["PASS", "FAIL", "INCONCLUSIVE", "ERROR", "NEEDS_RUNS"]


@dataclass(frozen=True)
class CriterionVerdict:
    """One criterion of one suite.

    Attributes:
        metric: what was measured.
        decision: and `detail` is one sentence why; for NEEDS_RUNS, the command that trains them.
        estimate: of the run that decided, the worst one.
        interval: of the estimate, once decisions rest on evidence.
        direction: at_least, at_most, better_than (above a reference) or less_than (below a reference).
        threshold: what it is compared with; with a reference, the reference's own value and the margin.
        misses_by: how far the estimate lies on the wrong side; None where it passes.
        units, units_max: how many were used, of how many that may be; `unit` says of what.
        run: the directory of the run that decided.
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
    interval: tuple[float, float] | None = None
    misses_by: float | None = None
    units: int | None = None
    units_max: int | None = None
    unit: str | None = None
    run: str | None = None


@dataclass(frozen=True)
class SuiteVerdict:
    """Every criterion of one suite, in the order of the file."""

    suite: str
    file: str
    env: str
    policy: str
    gate_seed: int
    runs: tuple[str, ...]
    criteria: tuple[CriterionVerdict, ...]

    @property
    def passed(self) -> bool:
        """Whether every criterion passes."""
        return all(criterion.decision == "PASS" for criterion in self.criteria)

    def rows(self) -> list[dict[str, Any]]:
        """One mapping a criterion, as tables take them: the fields of `CriterionVerdict`."""
        return [asdict(criterion) for criterion in self.criteria]

    def to_json(self) -> dict[str, Any]:
        """An entry of `verdict.json`'s `suites`; `from_json` takes it back."""
        return {**asdict(self), "passed": self.passed}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> SuiteVerdict:
        """The inverse of `to_json`."""
        criteria = tuple(CriterionVerdict(**criterion) for criterion in values["criteria"])
        given = {name: value for name, value in values.items() if name != "passed"}
        return cls(**{**given, "runs": tuple(given["runs"]), "criteria": criteria})


def shown(value: float | None, other: float | None = None) -> str:
    """Four digits, or as many as it takes to tell the value from another (0.94999 misses 0.95)."""
    if value is None:
        return "–"
    for digits in range(4, 18):
        text = f"{value:.{digits}g}"
        if other is None or value == other or text != f"{other:.{digits}g}":
            break
    return text


_SIGNS = {"at_least": 1.0, "better_than": 1.0, "at_most": -1.0, "less_than": -1.0}


def decide(blank: CriterionVerdict, estimate: float, threshold: float, of: str) -> CriterionVerdict:
    """PASS or FAIL by the plain number.

    Args:
        blank: the verdict without a decision.
        of: what the estimate is over, such as `over 100 episodes`.
    """
    ahead = _SIGNS[blank.direction] * (estimate - threshold)
    passes = ahead > 0 if blank.direction in ("better_than", "less_than") else ahead >= 0
    numbers = shown(estimate, threshold), shown(threshold, estimate)
    words = {"better_than": "better than", "less_than": "better than (below)"}.get(blank.direction, blank.direction)
    detail = f"{blank.metric} {numbers[0]}{of} {'meets' if passes else 'misses'} {words} {numbers[1]}"
    if not passes:
        detail += f" by {shown(-ahead)}"
    return replace(
        blank,
        decision="PASS" if passes else "FAIL",
        detail=detail,
        estimate=estimate,
        threshold=threshold,
        misses_by=None if passes else -ahead,
    )
