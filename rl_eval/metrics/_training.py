"""Numbers that a run recorded about its own training."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from rl_eval.errors import InputError, nearest
from rl_eval.metrics._registry import MetricUndefined, metric

if TYPE_CHECKING:
    from rl_eval.run import Run


def _numbers(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float | None]]:
    """The numbers of nested mappings by dotted name; null, as which NaN is stored, is None."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _numbers(value, f"{prefix}{key}.")
        elif value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
            yield f"{prefix}{key}", value


@metric("training", name="training.<key>", unit="run")
def training(key: str, run: Run) -> float:
    """Any number in run.json by its name: training.wall_s, training.steps_per_s, training.results.mean."""
    numbers = dict(_numbers(run.info))
    if key not in numbers:
        raise InputError(
            f"training.{key} is not a number in {run.path / 'run.json'}: {nearest(key, numbers)}"
            f"it has {', '.join(name for name in numbers if name != 'schema')}"
        )
    value = numbers[key]
    if value is None or not math.isfinite(value):
        raise MetricUndefined(f"training.{key} is undefined: {run.path / 'run.json'} has no finite number there")
    return float(value)


@metric("training", unit="run", better="lower")
def learning_trend(run: Run) -> float:
    """p-value of "later training returns beat earlier ones", despite autocorrelation; small when training helped.

    Judges `episode_return_new`: the mean over the latest 100 episodes would carry old episodes through many rows.
    """
    from rl_eval.evidence import trend
    from rl_eval.run import read_metrics

    file = run.path / "metrics.csv"
    columns = read_metrics(file)
    if not {"episode_return_new", "episodes"} <= columns.keys():
        raise MetricUndefined(f"learning_trend is undefined: {file} has no columns episode_return_new and episodes")
    returns, counts = columns["episode_return_new"], np.diff(columns["episodes"], prepend=0.0)
    ended = ~np.isnan(returns)  # in the other rows no episode ended
    try:
        return trend(returns[ended], episodes=counts[ended]).p_value
    except InputError as error:
        raise MetricUndefined(f"learning_trend is undefined: {file}: {error}") from error


@metric("training", unit="run", better="lower")
def value_loss_ratio(run: Run) -> float:
    """Mean value loss over the last fifth of metrics.csv over that of the first; below 1 if the critic learned."""
    from rl_eval.run import read_metrics

    file = run.path / "metrics.csv"
    column = read_metrics(file).get("value_loss", np.zeros(0))
    losses = column[np.isfinite(column)]
    if len(losses) < 5:
        raise MetricUndefined(
            f"value_loss_ratio is undefined: {file} has {len(losses)} rows with a value loss, but needs 5: lower "
            "log_every, or train for more steps"
        )
    part = len(losses) // 5
    first, last = float(losses[:part].mean()), float(losses[-part:].mean())
    if first <= 0:
        raise MetricUndefined(f"value_loss_ratio is undefined: {file} begins with a value loss of {first:g}")
    return last / first
