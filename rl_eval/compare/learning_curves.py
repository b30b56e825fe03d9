"""Learning curves of a group: its runs on common steps, with their mean and range."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from rl_eval.compare.groups import RunGroup

POINTS = 100
STEPS_COLUMN = "env_steps"


@dataclass(frozen=True)
class LearningCurve:
    """One column of metrics.csv over env steps.

    Attributes:
        steps, mean, low, high: `[P]` the mean over the runs, the lowest and the highest run.
        runs: how many runs have the column.
    """

    steps: np.ndarray = field(repr=False)
    mean: np.ndarray = field(repr=False)
    low: np.ndarray = field(repr=False)
    high: np.ndarray = field(repr=False)
    runs: int


def comparable_columns(groups: Sequence[RunGroup]) -> list[str]:
    """The columns that mean the same in all runs: the validation score of one metric, and returns of one reward."""
    columns = []
    configs = [run.config for group in groups for run in group.runs]
    rewards = {str(sorted((k, str(v)) for k, v in config.items() if k.startswith("reward."))) for config in configs}
    if len({str(config.get("validation.metric")) for config in configs}) == 1:
        columns.append("validation_score")
    if len(rewards) == 1:
        columns.append("episode_return_mean")
    return [column for column in columns if all(learning_curve(group, column) is not None for group in groups)]


def learning_curve(group: RunGroup, column: str, points: int = POINTS) -> LearningCurve | None:
    """A column of all runs of a group, interpolated to steps that all of them reached; None if there are none."""
    curves = []
    for run in group.runs:
        x, y = run.curves.get(STEPS_COLUMN), run.curves.get(column)
        if x is None or y is None:
            continue
        finite = np.isfinite(x) & np.isfinite(y)
        order = np.argsort(x[finite], kind="stable")
        if finite.any():
            curves.append((x[finite][order], y[finite][order]))
    if not curves:
        return None
    first, last = max(x[0] for x, _ in curves), min(x[-1] for x, _ in curves)
    if first > last:
        return None
    steps = np.linspace(first, last, points) if last > first else np.array([last])
    table = np.stack([np.interp(steps, x, y) for x, y in curves])
    return LearningCurve(steps, table.mean(axis=0), table.min(axis=0), table.max(axis=0), len(curves))
