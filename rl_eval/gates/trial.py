"""One criterion put to one policy: fed with episodes in the order of their seeds until it is decided."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import replace

from rl_eval.errors import InputError
from rl_eval.formatting import number
from rl_eval.gates.arena import Arena
from rl_eval.gates.schema import Criterion, Suite
from rl_eval.gates.tape import Tape
from rl_eval.gates.verdict import CriterionVerdict
from rl_eval.metrics import Metric


def blank_verdict(suite: Suite, criterion: Criterion) -> CriterionVerdict:
    """The verdict of a criterion without a decision."""
    direction: str = criterion.direction
    if criterion.spec.better_than is not None:
        direction = "better_than" if direction == "at_least" else "less_than"
    given = criterion.spec.at_least if criterion.spec.at_least is not None else criterion.spec.at_most
    return CriterionVerdict(
        suite=suite.name,
        criterion=criterion.name,
        metric=criterion.metric.name,
        decision="ERROR",
        detail="",
        by=criterion.spec.by,
        direction=direction,
        threshold=given,
        unit=criterion.unit,
    )


class Trial(ABC):
    """What a criterion says of a policy so far.

    Attributes:
        episodes: how many it may use.
        verdict: None until it is decided.
    """

    episodes: int

    def __init__(self, suite: Suite, criterion: Criterion) -> None:
        self.blank = blank_verdict(suite, criterion)
        self.verdict: CriterionVerdict | None = None

    def take(self, tape: Tape) -> None:
        """Take in what the tape holds; a metric without a value is an ERROR."""
        if self.verdict is None:
            try:
                self._take(tape)
            except InputError as error:
                self.fail(str(error))

    def fail(self, problem: str) -> None:
        """Nothing can be said, for this reason."""
        self.verdict = replace(self.blank, decision="ERROR", detail=problem)

    def conclude(self) -> CriterionVerdict:
        """The verdict when there are no more episodes."""
        if self.verdict is None:
            try:
                self._conclude()
            except InputError as error:
                self.fail(str(error))
        assert self.verdict is not None
        return self.verdict

    @abstractmethod
    def _take(self, tape: Tape) -> None: ...

    @abstractmethod
    def _conclude(self) -> None: ...


def references_of(arena: Arena, criterion: Criterion) -> list[str]:
    """The policies that the criterion's own must be better than."""
    return [spec for given in criterion.spec.better_than or () for spec in arena.expand(given)]


def values_of(arena: Arena, metric: Metric, references: Iterable[str], episodes: int) -> dict[str, float]:
    """The plain metric of each reference."""
    values = {}
    for spec in references:
        try:
            values[spec] = float(metric.compute(arena.reference(spec).between(0, episodes), arena.env))
        except InputError as error:
            raise InputError(f"the reference {spec}: {error}") from error
    return values


def known(reference: str, value: float, margin: float) -> str:
    """What the threshold is made of."""
    apart = f" with a margin of {number(margin)}" if margin else ""
    return f" ({reference} has {number(value)}{apart})"
