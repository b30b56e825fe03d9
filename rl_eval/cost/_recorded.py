"""The costs that runs recorded, read from their `run.json`, which may come from anyone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from rl_eval.cost._amounts import Cost, total
from rl_eval.cost._prices import Rate
from rl_eval.formatting import brief
from rl_eval.run import Run, RunRecord, finite

_TEXTS = ("machine", "kind", "gpu", "currency", "date", "source")


@dataclass(frozen=True)
class RecordedCost:
    """The cost of one run.

    Attributes:
        work: equal for runs that do the same work per step: of the same agent, with the same settings, on the same
            environment.
        env_steps: of training.
    """

    path: Path
    work: str = field(repr=False)
    env_steps: int
    rate: Rate
    training: Cost
    judging: dict[str, Cost]

    @property
    def total(self) -> Cost:
        """Of training and judging."""
        return total([self.training, *self.judging.values()])

    @property
    def steps_per_machine_s(self) -> float | None:
        """Env steps of training for each second that it held a machine; None if it has trained for none."""
        return self.env_steps / self.training.machine_s if self.env_steps and self.training.machine_s > 0 else None


def recorded_cost(run: Run) -> RecordedCost:
    """The cost that a run recorded. Of a run without one, only its time is known."""
    values = run.info.get("cost")
    values = values if isinstance(values, Mapping) else {}
    rate = _rate(values)
    currency = rate.currency if rate.price_per_hour is not None else None
    seconds = _non_negative(run.info.get("wall_s")) or 0.0
    judging = values.get("judging")
    return RecordedCost(
        path=run.path,
        work=_work(run.config),
        env_steps=int(_non_negative(run.info.get("env_steps")) or 0),
        rate=rate,
        training=_cost(values.get("training"), currency) or Cost(seconds * rate.share),
        judging={
            brief(name, 200): cost
            for name, part in (judging.items() if isinstance(judging, Mapping) else ())
            if (cost := _cost(part, currency)) is not None
        },
    )


def _rate(values: Mapping[str, Any]) -> Rate:
    texts = {name: brief(values[name], 500) if isinstance(values.get(name), str) else None for name in _TEXTS}
    return Rate(
        **texts,
        price_per_hour=_non_negative(values.get("price_per_hour")),
        watts=_non_negative(values.get("watts")),
        share=_non_negative(values.get("share")) or 1.0,
    )


def _cost(values: Any, currency: str | None) -> Cost | None:
    if not isinstance(values, Mapping) or (machine_s := _non_negative(values.get("machine_s"))) is None:
        return None
    money = _non_negative(values.get("money")) if currency is not None else None
    return Cost(machine_s, _non_negative(values.get("energy_wh")), money, None if money is None else currency)


def _non_negative(value: Any) -> float | None:
    result = finite(value)
    return result if result is not None and result >= 0 else None


def _work(config: Mapping[str, Any]) -> str:
    env = config.get("env")
    env = {key: value for key, value in env.items() if key != "path"} if isinstance(env, Mapping) else env
    return json.dumps([env, config.get("agent"), config.get("agents")], sort_keys=True, default=str)


@dataclass(frozen=True)
class Reached:
    """When the score on validation first met a bar.

    Attributes:
        env_steps: of training until then.
        cost: until then, validation included and start-up left out.
    """

    env_steps: int
    cost: Cost


def cost_to_reach(record: RunRecord, bar: float, *, higher_is_better: bool) -> Reached | None:
    """The cost of a run until its score on the validation part first met a bar; None if it never did."""
    scores, steps, wall_s = (record.curves.get(name) for name in ("validation_score", "env_steps", "wall_s"))
    if scores is None or steps is None or wall_s is None:
        return None
    met = scores >= bar if higher_is_better else scores <= bar
    rows = np.flatnonzero(met & np.isfinite(wall_s) & np.isfinite(steps))
    if not len(rows):
        return None
    return Reached(int(steps[rows[0]]), recorded_cost(record).rate.cost(float(wall_s[rows[0]])))
