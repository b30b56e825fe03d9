"""Metrics of how early an order of test cases finds failures. Cycles without failures do not count."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from rl_eval.metrics import MetricUndefined, metric

if TYPE_CHECKING:
    from rl_eval.rollout import Episodes

_BOUNDS = 0.0, 1.0


def _of_cycles(name: str) -> Callable[[Episodes, Any], np.ndarray]:
    def values(episodes: Episodes, config: Any) -> np.ndarray:
        """`[K]` one value per cycle; NaN for a cycle where it is undefined."""
        return episodes.outcome[name][episodes.outcome["cycle_end"]].astype(np.float64)

    return values


def _mean(values: np.ndarray, name: str, needed: str) -> float:
    values = values[~np.isnan(values)]
    if not len(values):
        raise MetricUndefined(f"{name} is undefined: no cycle that was played {needed}")
    return float(values.mean())


_apfd = _of_cycles("apfd")
_apfd_unseen = _of_cycles("apfd_unseen")
_apfdc = _of_cycles("apfdc")
_napfd = _of_cycles("napfd")


@metric(
    "task",
    needs=("apfd", "cycle_end"),
    better="higher",
    variable=_apfd,
    undefined_units=True,
    bounds=lambda config: _BOUNDS,
)
def apfd(episodes: Episodes, config: Any) -> float:
    """Mean over cycles of the average percentage of faults detected; .5 is chance, ties count their mean rank."""
    return _mean(_apfd(episodes, config), "apfd", "has a failure")


@metric(
    "task",
    needs=("apfd_unseen", "cycle_end"),
    better="higher",
    variable=_apfd_unseen,
    undefined_units=True,
    bounds=lambda config: _BOUNDS,
)
def apfd_unseen(episodes: Episodes, config: Any) -> float:
    """APFD among the cases of a cycle that are not in training; only the order among them counts."""
    return _mean(_apfd_unseen(episodes, config), "apfd_unseen", "has a failure of a case that is not in training")


@metric(
    "task",
    needs=("apfdc", "cycle_end"),
    better="higher",
    variable=_apfdc,
    undefined_units=True,
    bounds=lambda config: _BOUNDS,
)
def apfdc(episodes: Episodes, config: Any) -> float:
    """APFD by time instead of by cases: mean share of a cycle's time that is left when a failing case is half done."""
    return _mean(_apfdc(episodes, config), "apfdc", "has a failure")


@metric(
    "task",
    needs=("napfd", "cycle_end"),
    better="higher",
    variable=_napfd,
    undefined_units=True,
    bounds=lambda config: _BOUNDS,
)
def napfd(episodes: Episodes, config: Any) -> float:
    """APFD under the environment's time budget: failures that did not run count as not detected."""
    return _mean(_napfd(episodes, config), "napfd", "has a failure")


@metric("task", needs=("found", "failures", "cycle_end"), better="higher")
def failures_found(episodes: Episodes, config: Any) -> float:
    """Share of all failures that ran within the environment's time budget."""
    failures = float(episodes.outcome["failures"].sum())
    if failures == 0:
        raise MetricUndefined("failures_found is undefined: no cycle that was played has a failure")
    return float(episodes.outcome["found"].sum()) / failures


def _bugs_found(episodes: Episodes, config: Any) -> np.ndarray:
    """`[K]` share of each build's seeded bugs that its cycle found; NaN for a build without bugs."""
    ends = episodes.outcome["cycle_end"]
    bugs, detected = (episodes.outcome[name][ends].astype(np.float64) for name in ("bugs", "bugs_found"))
    return np.divide(detected, bugs, out=np.full(len(bugs), np.nan), where=bugs > 0)


@metric(
    "task",
    needs=("bugs", "bugs_found"),
    better="higher",
    variable=_bugs_found,
    undefined_units=True,
    bounds=lambda config: _BOUNDS,
)
def bugs_found(episodes: Episodes, config: Any) -> float:
    """Mean over builds of the share of seeded bugs found within the environment's time budget."""
    return _mean(_bugs_found(episodes, config), "bugs_found", "is of a build with seeded bugs, as env.mode=live has")


METRICS = (apfd, apfd_unseen, apfdc, napfd, failures_found, bugs_found)
