"""The episodes where a policy did worst by a metric: the first to look at when a criterion fails."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from rl_eval.domains import EnvConfig
from rl_eval.evidence import RATIO_METRICS, count_cases
from rl_eval.metrics import Metric, MetricUndefined
from rl_eval.override_text import shell_word
from rl_eval.rollout import Episodes

COUNT = 5
MAX_NAME = 1000  # characters of the name of a file
MAX_COMPUTED = 500  # episodes of a metric that is not a mean, which is computed for each


def worst_episodes(
    metric: Metric, episodes: Episodes, config: EnvConfig, direction: str
) -> tuple[tuple[int, float], ...]:
    """The seeds of the worst episodes, the worst first, each with the value of the metric on only that episode.

    Of a finite set, the seed is the episode's index. Episodes without a value are left out.

    Args:
        direction: of the criterion: for `at_least` and `better_than`, low values are bad.
    """
    values = _values(metric, episodes, config)
    known = np.flatnonzero(np.isfinite(values))
    sign = 1.0 if direction in ("at_least", "better_than") else -1.0
    order = known[np.argsort(sign * values[known], kind="stable")][:COUNT]
    return tuple((int(episodes.seeds[index]), float(values[index])) for index in order)


def replay_command(run: Path | str, seed: int, suite_file: str) -> str:
    """The command that plays an episode of a run again, as the suite played it."""
    suite = f" --suite {shell_word(suite_file)}" if len(suite_file) < MAX_NAME and Path(suite_file).is_file() else ""
    return f"rl-eval replay {shell_word(run)} --seed {seed}{suite}"


def _values(metric: Metric, episodes: Episodes, config: EnvConfig) -> np.ndarray:
    """`[E]` the metric on each episode; NaN where it has none."""
    count = len(episodes)
    if metric.name in RATIO_METRICS:
        outcome = episodes.outcome
        counted = count_cases(metric.name, outcome["label"], outcome["flagged"], episodes.episode, None, count)
        return _mean(np.asarray(counted.hits, float), np.asarray(counted.informative, float))
    if metric.variable is None:
        values = np.full(count, math.nan)
        for index in range(min(count, MAX_COMPUTED)):
            try:
                values[index] = float(metric.compute(episodes.between(index, index + 1), config))
            except MetricUndefined:
                continue
        return values
    values = np.asarray(metric.variable(episodes, config), np.float64)
    if metric.unit != "case":
        return values
    sums = np.bincount(episodes.episode, weights=values, minlength=count)
    return _mean(sums, np.bincount(episodes.episode, minlength=count).astype(float))


def _mean(sums: np.ndarray, counts: np.ndarray) -> np.ndarray:
    return np.divide(sums, counts, out=np.full(len(sums), math.nan), where=counts > 0)
