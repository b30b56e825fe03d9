"""`Progress`: the counters of a run, such as the next step to log or validate at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Progress:
    """The counters of a run outside the agent and its environments, in env steps where nothing else is stated."""

    next_log: int = 0
    next_checkpoint: int = 0
    next_validation: int = 0
    next_resume: int = 0
    points: int = 0  # resume points passed
    best_step: int | None = None
    best_score: float | None = None
    score: float = float("nan")  # the latest on the validation part
    target_reached: bool = False  # validation.stop_at was reached
    rows: int = 0  # of metrics.csv
    row_episodes: int = 0  # that had ended at the last row
    row_return: float = 0.0  # the sum of their returns
    wall_s: float = 0.0
    validation_s: float = 0.0
    pending: list[dict[str, float]] = field(default_factory=list)  # iterations since the last row

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Progress:
        """Read from a resume point; null in JSON is NaN."""

        def number(value: float | None) -> float:
            return float("nan") if value is None else value

        pending = [{name: number(value) for name, value in row.items()} for row in values["pending"]]
        return cls(**{**values, "score": number(values["score"]), "pending": pending})


def next_due(due: int, every: int, env_steps: int) -> int:
    """The first of `due + every`, `due + 2 * every`, … beyond `env_steps`, which has reached `due`."""
    return due + every * (1 + (env_steps - due) // every)
