"""Observation columns whose distribution differs between train and validation."""

from __future__ import annotations

import math

import numpy as np

from rl_eval import domains
from rl_eval.diagnostics._diagnosed_run import DiagnosedRun
from rl_eval.diagnostics._finding import Finding
from rl_eval.diagnostics._observations import observed
from rl_eval.diagnostics._registry import diagnostic

# Kolmogorov-Smirnov distance: at .1 a tenth of the cases has moved; a smaller distance matters little, even if it is
# certain.
NOTABLE, LARGE = 0.1, 0.3
ALPHA = 0.01
MAX_NAMES = 5
_DRAWN = (
    "The policy is judged on other cases than it learned from. Validation is drawn like test, which is not read here. "
    "Split the data again so that the parts are similar, or train on later data."
)
_BY_TIME = (
    "The parts are in order of time, so columns that grow with it, such as counts, always differ. Another split does "
    "not change that. Of other columns it means that the data has changed: train again when there is newer data."
)


@diagnostic
def feature_shift(run: DiagnosedRun) -> Finding | None:
    """Observation columns that are distributed differently in `validation` than in `train`.

    Reads the cases of both parts, never those of `test`. The Kolmogorov–Smirnov distance of a column is above .1, and
    above its critical value at .01 over all columns (Smirnov 1948). A warning above .3: split the data again, or train
    on later data. Where the parts are in order of time, columns that grow with it always differ, so it is a note.
    """
    train = observed(run, "train")
    validation = observed(run, "validation") if train is not None and train.from_data else None
    if train is None or validation is None or not validation.from_data:
        return None
    distance = np.array([ks_distance(a, b) for a, b in zip(train.rows.T, validation.rows.T, strict=True)])
    bar = max(NOTABLE, critical_distance(len(train.rows), len(validation.rows), ALPHA / len(distance)))
    moved = [int(i) for i in np.argsort(-distance, kind="stable") if distance[i] > bar]
    if not moved:
        return None
    names = ", ".join(f"{train.names[i]} ({distance[i]:.2f})" for i in moved[:MAX_NAMES])
    by_time = run.environment is not None and in_order_of_time(run.environment)
    more = f" and {len(moved) - MAX_NAMES} more" if len(moved) > MAX_NAMES else ""
    return Finding(
        name="feature_shift",
        severity="warning" if distance[moved[0]] > LARGE and not by_time else "note",
        layer="data",
        title="features are distributed differently than in training",
        evidence=f"{len(moved)} of {len(distance)} columns differ by more than {bar:.2f} between train and validation "
        f"(Kolmogorov-Smirnov distance): {names}{more}",
        meaning=_BY_TIME if by_time else _DRAWN,
        source="two-sample Kolmogorov-Smirnov distance above .1 and above its critical value at .01 over all columns "
        "(Smirnov 1948); a warning above .3",
        certainty=0.8,
        data={"distance": {train.names[i]: float(distance[i]) for i in moved}},
    )


def in_order_of_time(config: domains.EnvConfig) -> bool:
    """Whether the parts of the data follow one another in time."""
    return domains.domain(config.name).earlier_splits(config, 1) is not None


def ks_distance(a: np.ndarray, b: np.ndarray) -> float:
    """The largest gap between the empirical distribution functions of two samples, `[n]` and `[m]`."""
    a, b = np.sort(a), np.sort(b)
    at = np.concatenate([a, b])
    gap = np.searchsorted(a, at, side="right") / len(a) - np.searchsorted(b, at, side="right") / len(b)
    return float(np.abs(gap).max())


def critical_distance(n: int, m: int, alpha: float) -> float:
    """The distance that two samples of one distribution exceed with probability alpha, for large samples."""
    return math.sqrt(-math.log(alpha / 2) / 2) * math.sqrt((n + m) / (n * m))
