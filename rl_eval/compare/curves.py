"""Learning curves of a group: its runs on common steps, their mean, and how far apart they lie."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from rl_eval.compare.groups import Group

POINTS = 100
X = "env_steps"


@dataclass(frozen=True)
class Curve:
    """One column over env steps.

    Attributes:
        steps, mean, low, high: `[P]` the mean over the runs, the lowest and the highest of them.
        runs: how many have the column.
    """

    steps: np.ndarray = field(repr=False)
    mean: np.ndarray = field(repr=False)
    low: np.ndarray = field(repr=False)
    high: np.ndarray = field(repr=False)
    runs: int


def columns(groups: Sequence[Group]) -> list[str]:
    """What can be drawn side by side: the selection score of one metric, and returns of one reward."""
    named = []
    configs = [entry.config for group in groups for entry in group.entries]
    rewards = {str(sorted((k, str(v)) for k, v in config.items() if k.startswith("reward."))) for config in configs}
    if len({str(config.get("select.metric")) for config in configs}) == 1:
        named.append("select_score")
    if len(rewards) == 1:
        named.append("episode_return_mean")
    return [name for name in named if all(curve_of(group, name) is not None for group in groups)]


def curve_of(group: Group, column: str, points: int = POINTS) -> Curve | None:
    """A column of all runs of a group, interpolated to steps that all of them have passed; None where there is none."""
    known = []
    for entry in group.entries:
        x, y = entry.curves.get(X), entry.curves.get(column)
        if x is None or y is None:
            continue
        kept = np.isfinite(x) & np.isfinite(y)
        order = np.argsort(x[kept], kind="stable")
        if kept.any():
            known.append((x[kept][order], y[kept][order]))
    if not known:
        return None
    first, last = max(x[0] for x, _ in known), min(x[-1] for x, _ in known)
    if first > last:
        return None
    steps = np.linspace(first, last, points) if last > first else np.array([last])
    table = np.stack([np.interp(steps, x, y) for x, y in known])
    return Curve(steps, table.mean(axis=0), table.min(axis=0), table.max(axis=0), len(known))
