"""What the same work would cost on another machine: an estimate, from how fast that machine was measured to be."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from rl_eval.cost._amounts import Cost, total
from rl_eval.cost._prices import Rate
from rl_eval.cost._recorded import RecordedCost


@dataclass(frozen=True)
class Speed:
    """How fast a machine does the work of a run, in multiples of the machine that did it.

    Attributes:
        how: `measured` by runs that did the same work there; `given`; or `assumed` to be the same.
    """

    value: float
    how: Literal["measured", "given", "assumed"]


@dataclass(frozen=True)
class Elsewhere:
    """The estimated cost of some runs on another machine.

    Attributes:
        rate: of that machine.
        speeds: one for each run.
        break_even: how many times as fast as here it must be to cost the same money; None if one is unknown.
    """

    rate: Rate
    speeds: tuple[Speed, ...]
    cost: Cost
    break_even: float | None

    @property
    def speed_text(self) -> str:
        """`2.5 measured`, `1 assumed`; of several, the range."""
        values = sorted({float(f"{speed.value:.3g}") for speed in self.speeds})
        ways = " and ".join(sorted({speed.how for speed in self.speeds}))
        return f"{values[0]:g}{'' if len(values) == 1 else f' to {values[-1]:g}'} {ways}"


def elsewhere(
    runs: Sequence[RecordedCost], rate: Rate, measured: Sequence[RecordedCost] = (), stated_speed: float | None = None
) -> Elsewhere:
    """What some runs would cost on another machine.

    Args:
        rate: of that machine.
        measured: runs that may have been made there, on which its speed can be measured.
        stated_speed: its speed in multiples of the machine that made the runs, where a person knows it.
    """
    speeds = tuple(_speed(run, rate, measured, stated_speed) for run in runs)
    cost = total(rate.cost(run.total.machine_s / speed.value) for run, speed in zip(runs, speeds, strict=True))
    here, at_this_speed = total(run.total for run in runs), rate.cost(sum(run.total.machine_s for run in runs))
    comparable = here.money and at_this_speed.money is not None and here.currency == at_this_speed.currency
    return Elsewhere(rate, speeds, cost, at_this_speed.money / here.money if comparable else None)  # type: ignore[operator]


def _speed(run: RecordedCost, rate: Rate, measured: Sequence[RecordedCost], stated_speed: float | None) -> Speed:
    if stated_speed is not None:
        return Speed(stated_speed, "given")
    if run.rate.machine == rate.machine:
        return Speed(1.0, "measured")
    own = run.steps_per_machine_s
    speeds = [
        pace
        for other in measured
        if other.rate.machine == rate.machine and other.work == run.work and (pace := other.steps_per_machine_s)
    ]
    return Speed(statistics.median(speeds) / own, "measured") if own and speeds else Speed(1.0, "assumed")
