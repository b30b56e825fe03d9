"""Which of several runs is the best on validation. The test set has no part in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rl_eval.domains import identity
from rl_eval.errors import InputError
from rl_eval.formatting import number
from rl_eval.metrics import lookup
from rl_eval.run import Run, environment_of, validation_metric, validation_score


@dataclass(frozen=True)
class BestOnValidation:
    """The best of several candidates.

    Attributes:
        index: which one.
        metric: the metric that chose the snapshots of all of them.
        score: its own; the mean where the candidate is several runs.
    """

    index: int
    metric: str
    score: float

    def __str__(self) -> str:
        return f"{self.metric} {number(self.score)}"


def best_on_validation(candidates: Sequence[Sequence[Run]]) -> BestOnValidation | None:
    """The candidate with the best mean of its validation scores, the first of equal ones.

    None if they cannot be compared: their snapshots were chosen by different metrics, they are of different
    environments, or none has a score.

    Args:
        candidates: runs, or groups of runs that are judged together.
    """
    scores = {index: score for index, runs in enumerate(candidates) if (score := _score(runs)) is not None}
    runs = [run for index in scores for run in candidates[index]]
    metrics = {validation_metric(run) for run in runs}
    if len(metrics) != 1 or (metric := metrics.pop()) is None:
        return None
    try:
        environments = [identity(environment_of(run)) for run in runs]
        better = lookup(metric).better
    except InputError:  # one that this version does not know
        return None
    if better is None or any(environment != environments[0] for environment in environments):
        return None
    sign = -1.0 if better == "lower" else 1.0
    best = max(scores, key=lambda index: sign * scores[index])
    return BestOnValidation(best, metric, scores[best])


def _score(runs: Sequence[Run]) -> float | None:
    scores = [validation_score(run) for run in runs]
    recorded = [score for score in scores if score is not None]
    return sum(recorded) / len(recorded) if recorded and len(recorded) == len(scores) else None
