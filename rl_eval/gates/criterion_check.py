"""`CriterionCheck`: one criterion on one policy, fed with episodes in the order of their seeds until it is decided."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import replace

from rl_eval.errors import InputError
from rl_eval.formatting import number, times
from rl_eval.gates.criterion import Criterion
from rl_eval.gates.episode_buffer import EpisodeBuffer
from rl_eval.gates.missing_values import plain_value
from rl_eval.gates.suite import Suite
from rl_eval.gates.suite_environment import SuiteEnvironment
from rl_eval.gates.verdict import CriterionVerdict
from rl_eval.metrics import Metric
from rl_eval.policy import Perturbation


def blank_verdict(suite: Suite, criterion: Criterion) -> CriterionVerdict:
    """The verdict of a criterion without a decision."""
    direction: str = criterion.direction
    if criterion.spec.better_than is not None:
        direction = "better_than" if direction == "at_least" else "less_than"
    threshold = criterion.spec.at_least if criterion.spec.at_least is not None else criterion.spec.at_most
    return CriterionVerdict(
        suite=suite.name,
        criterion=criterion.name,
        metric=criterion.shown_metric,
        decision="ERROR",
        detail="",
        by=criterion.spec.by,
        direction=direction,
        threshold=threshold,
        unit=criterion.unit,
        factor=criterion.spec.factor,
    )


class CriterionCheck(ABC):
    """One criterion on one policy.

    Attributes:
        episodes: how many it may use.
        under: what happens to observations; None: nothing.
        blank: the verdict without a decision.
        verdict: None until it is finished, or cannot be judged.
    """

    episodes: int

    def __init__(self, suite: Suite, criterion: Criterion) -> None:
        self.blank = blank_verdict(suite, criterion)
        self.under = criterion.spec.under.perturbation if criterion.spec.under else None
        self.verdict: CriterionVerdict | None = None

    def update(self, buffer: EpisodeBuffer, count: int) -> None:
        """Use the first `count` episodes, which were played; a metric that is undefined on them is an ERROR."""
        if self.verdict is None:
            try:
                self._update(buffer, count)
            except InputError as error:
                self.set_error(str(error))

    def set_error(self, reason: str) -> None:
        """Decide that the criterion cannot be judged."""
        self.verdict = replace(self.blank, decision="ERROR", detail=reason)

    def finish(self) -> CriterionVerdict:
        """The verdict when there are no more episodes."""
        if self.verdict is None:
            try:
                self._finish()
            except InputError as error:
                self.set_error(str(error))
        assert self.verdict is not None
        return self.verdict

    @property
    @abstractmethod
    def settled(self) -> bool:
        """Whether more episodes would not change the decision."""

    @property
    @abstractmethod
    def missed(self) -> bool:
        """Whether it is known that the policy does not pass."""

    @abstractmethod
    def _update(self, buffer: EpisodeBuffer, count: int) -> None: ...

    @abstractmethod
    def _finish(self) -> None: ...


def reference_policies(environment: SuiteEnvironment, criterion: Criterion) -> list[str]:
    """The policies that the judged one must be better than."""
    return [policy for spec in criterion.spec.better_than or () for policy in environment.expand(spec)]


def reference_values(
    environment: SuiteEnvironment,
    criterion: Criterion,
    metric: Metric,
    references: Iterable[str],
    episodes: int,
    under: Perturbation | None = None,
) -> dict[str, float]:
    """The plain metric of each reference over the first episodes.

    Raises:
        InputError: a reference cannot be played, or the metric is undefined for it.
    """
    values = {}
    for spec in references:
        try:
            played = environment.reference(spec, under).between(0, episodes)
            values[spec], _ = plain_value(criterion, metric, played, environment.config)
        except InputError as error:
            raise InputError(f"the reference {spec}: {error}") from error
    return values


def describe_reference(reference: str, value: float, factor: float | None, margin: float) -> str:
    """The reference behind the threshold, for a message."""
    with_margin = f" with a margin of {number(margin)}" if margin else ""
    multiplied = f"; the threshold is {times(factor)}that" if factor is not None else ""
    return f" ({reference} has {number(value)}{multiplied}{with_margin})"
