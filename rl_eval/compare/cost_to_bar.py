"""What it cost the runs of each group to reach a bar on the validation part."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from rl_eval.compare.compared_run import ComparedRun
from rl_eval.compare.groups import ComparisonTask, RunGroup
from rl_eval.cost import Cost, Reached, cost_to_reach
from rl_eval.run import finite, validation_metric


@dataclass(frozen=True)
class GroupCost:
    """The runs of a group that reached the bar.

    Attributes:
        runs: of the group.
        reached: of those that reached the bar, when they did.
    """

    runs: int
    reached: tuple[Reached, ...]

    @property
    def env_steps(self) -> float | None:
        """The median over the runs that reached it."""
        return statistics.median(one.env_steps for one in self.reached) if self.reached else None

    @property
    def cost(self) -> Cost | None:
        """The medians over the runs that reached it; what is unknown of one is unknown."""
        costs = [one.cost for one in self.reached]
        if not costs:
            return None
        currencies = {cost.currency for cost in costs}
        money = _median(cost.money for cost in costs) if len(currencies) == 1 else None
        return Cost(
            machine_s=statistics.median(cost.machine_s for cost in costs),
            energy_wh=_median(cost.energy_wh for cost in costs),
            money=money,
            currency=None if money is None else currencies.pop(),
        )

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        cost = self.cost
        values = {} if cost is None else {**cost.to_json(), "currency": cost.currency}
        return {"runs": self.runs, "reached": len(self.reached), "env_steps": self.env_steps, **values}


@dataclass(frozen=True)
class CostToBar:
    """A bar, and one `GroupCost` for each group."""

    bar: float
    groups: tuple[GroupCost, ...]


def costs_to_bar(groups: Sequence[RunGroup], task: ComparisonTask, bar: float | None) -> CostToBar | None:
    """The cost of every group until its runs first met a bar; None if there is no bar, or no curve to read it from.

    Args:
        bar: of the metric that is compared; None: that of the runs' verdicts, or their `validation.stop_at`.
    """
    runs = [run for group in groups for run in group.runs]
    metric, higher = task.metric.name, task.metric.better == "higher"
    if any(run.record is None or validation_metric(run.record) != metric for run in runs):
        return None
    if bar is None:
        bars = [*_verdict_bars(runs, metric, higher)] or [*_stops(runs)]
        if not bars:
            return None
        bar = max(bars) if higher else min(bars)
    costs = tuple(
        GroupCost(len(group.runs), tuple(filter(None, (_reached(run, bar, higher) for run in group.runs))))
        for group in groups
    )
    return CostToBar(bar, costs)


def _reached(run: ComparedRun, bar: float, higher: bool) -> Reached | None:
    assert run.record is not None
    return cost_to_reach(run.record, bar, higher_is_better=higher)


def _verdict_bars(runs: Iterable[ComparedRun], metric: str, higher: bool) -> Iterable[float]:
    direction = "at_least" if higher else "at_most"
    for run in runs:
        suites = run.record.verdicts if run.record is not None else []
        for row in (row for suite in suites for row in suite["criteria"]):
            threshold = finite(row.get("threshold"))
            if row.get("metric") == metric and row.get("direction") == direction and threshold is not None:
                yield threshold


def _stops(runs: Iterable[ComparedRun]) -> Iterable[float]:
    return (stop for run in runs if (stop := finite(run.config.get("validation.stop_at"))) is not None)


def _median(values: Iterable[float | None]) -> float | None:
    known = list(values)
    return None if None in known else statistics.median(known)  # type: ignore[type-var]
