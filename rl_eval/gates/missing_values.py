"""Units without a value of the metric: an error, the worst value, or left out, as `missing:` of the criterion says."""

from __future__ import annotations

import numpy as np

from rl_eval.domains import EnvConfig
from rl_eval.errors import InputError
from rl_eval.formatting import number
from rl_eval.gates.criterion import Criterion
from rl_eval.metrics import Metric
from rl_eval.rollout import Episodes


def losing_bound(criterion: Criterion) -> float:
    """The worst value that a unit can have."""
    assert criterion.bounds is not None
    return criterion.bounds[0 if criterion.direction == "at_least" else 1]


def filled(criterion: Criterion, metric: Metric, values: np.ndarray, played: int) -> np.ndarray:
    """The values, where those that are missing are NaN (`ignore`) or the losing bound (`worst`).

    Args:
        values: `[n]` of the metric's variable, NaN where a unit has none.
        played: units so far, for the message.

    Raises:
        InputError: some are missing, the metric does not allow it, and the suite does not say what that means.
    """
    missing = np.isnan(values)
    if metric.undefined_units or not missing.any():
        return values
    if criterion.spec.missing is None:
        of = f"{int(missing.sum()):,} of {played:,} {metric.unit}s"
        if metric.name.startswith("fact."):
            fact = metric.name.removeprefix("fact.")
            what, how = f"fact {fact} is missing in", "make the environment report it at every end"
        else:
            what, how = f"{metric.name} has no value in", "make the environment report all that it reads"
        raise InputError(
            f"{what} {of}: {how}, or say criteria.{criterion.name}.missing: worst (such a unit counts as a failure) "
            "or missing: ignore (it does not count)"
        )
    return np.where(missing, losing_bound(criterion), values) if criterion.spec.missing == "worst" else values


def plain_value(criterion: Criterion, metric: Metric, episodes: Episodes, config: EnvConfig) -> tuple[float, int]:
    """The metric over episodes, and how many units have no value.

    Raises:
        InputError: as of `filled`, or the metric is undefined.
    """
    if metric.variable is None or metric.undefined_units:
        return float(metric.compute(episodes, config)), 0
    values = np.asarray(metric.variable(episodes, config), np.float64)
    missing = int(np.isnan(values).sum())
    if missing in (0, len(values)) and criterion.spec.missing != "worst":
        return float(metric.compute(episodes, config)), 0
    return float(np.nanmean(filled(criterion, metric, values, len(values)))), missing


def missing_note(criterion: Criterion, missing: int, units: int, of: str = "") -> str:
    """What a verdict says about units without a value; empty if all have one."""
    if not missing or criterion.spec.missing is None:
        return ""
    counted = f" and count as {number(losing_bound(criterion))}" if criterion.spec.missing == "worst" else ""
    return f"; {missing:,} of {units:,}{of} have no value{counted}"
