"""`Meter`: the cost of a run while it is trained and judged, and whether its budget is spent."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from rl_eval.cost._amounts import Cost, total
from rl_eval.cost._budget import Budget
from rl_eval.cost._prices import Rate
from rl_eval.cost._recorded import recorded_cost
from rl_eval.run import RunRecord, SpentFile


@dataclass
class Meter:
    """Counts from when it is made. Training that was interrupted and goes on adds to what it took before.

    Attributes:
        rate: of the machine.
        budget: of the run, or of all jobs of its sweep together.
        spent_file: where each job of a sweep writes what it has spent; None: nothing shares a budget with it.
        before: what training took in earlier processes; None: nothing.
        judging: suite -> what it took to judge by it.
        clock: seconds, of this run's part where several are trained together.
    """

    rate: Rate = field(default_factory=Rate)
    budget: Budget | None = None
    spent_file: SpentFile | None = None
    before: Cost | None = None
    judging: dict[str, Cost] = field(default_factory=dict)
    clock: Callable[[], float] = field(default_factory=lambda: time.perf_counter)
    _started: float = 0.0
    _trained: Cost | None = None

    def __post_init__(self) -> None:
        self._started = self.clock()

    def add_earlier(self, record: RunRecord) -> None:
        """Count what earlier processes of this run took: what it recorded, and what a killed one left in its files."""
        recorded = recorded_cost(record)
        seconds = recorded.training.machine_s / recorded.rate.share
        rows = record.curve("wall_s")
        left = [float(rows[-1])] if len(rows) else []
        if self.spent_file is not None:
            left.append(self.spent_file.own()[0] / recorded.rate.share)
        lost = max([0.0, *(value - seconds for value in left)])
        self.before = total([recorded.training, recorded.rate.cost(lost)]) if lost else recorded.training

    def end_training(self) -> None:
        """What comes now is not training."""
        self._trained = self.training

    @contextlib.contextmanager
    def judge(self, suite: str) -> Iterator[None]:
        """Count the time of the block as that of judging by a suite."""
        started = self.clock()
        try:
            yield
        finally:
            self.judging[suite] = self.rate.cost(round(self.clock() - started, 3))

    @property
    def training(self) -> Cost:
        """The cost of training so far, start-up and validation included."""
        if self._trained is not None:
            return self._trained
        now = self.rate.cost(round(self.clock() - self._started, 3))
        return now if self.before is None else total([self.before, now])

    @property
    def total(self) -> Cost:
        """The cost of training and judging so far."""
        return total([self.training, *self.judging.values()])

    def used(self) -> float:
        """How much of the budget is used, by all jobs of the sweep; writes the part of this run.

        Raises:
            InputError: it is a budget of money, and the price is not known.
        """
        own = self.total
        spent = own
        if self.spent_file is not None:
            machine_s, money = self.spent_file.write(own.machine_s, own.money)
            spent = Cost(machine_s, money=None if math.isnan(money) else money, currency=own.currency)
        return 0.0 if self.budget is None else self.budget.used_by(spent)

    def over_budget(self) -> bool:
        """Whether the budget is spent."""
        used = self.used()
        return self.budget is not None and used >= self.budget.amount

    def to_json(self) -> dict[str, Any]:
        """`cost` of `run.json`."""
        return {
            **asdict(self.rate),
            "budget": None if self.budget is None else str(self.budget),
            "training": self.training.to_json(),
            "judging": {suite: cost.to_json() for suite, cost in self.judging.items()},
            "total": self.total.to_json(),
        }
