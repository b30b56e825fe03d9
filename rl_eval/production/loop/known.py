"""What a champion learned from: the experience of its training, or its own environment played again."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rl_eval.production.incremental import observations_of_run
from rl_eval.production.loop.experience import observations
from rl_eval.production.parts import Parts
from rl_eval.production.store import Experience, Training
from rl_eval.run import Run


def trained_on(parts: Parts, champion: int) -> list[Experience]:
    """The experience that a version was trained on, as far as it is kept; empty where it comes from elsewhere."""
    training = parts.registry.version(champion).lineage.verdict.get("training")
    own = [item for item in parts.store.trainings(1_000) if item.name == training]
    return parts.store.experiences_of(own[0]) if own else []


def earlier_trainings(parts: Parts) -> list[Training]:
    """Trainings that have ended well, the first first."""
    return sorted((item for item in parts.store.trainings(100) if item.state == "done"), key=lambda item: item.id)


def reference(parts: Parts, champion: int, run: Run, rows: int) -> np.ndarray:
    """Observations `[B, D]` of what the champion learned before.

    Raises:
        InputError: its environment cannot be made here.
    """
    stored: Sequence[Experience] = trained_on(parts, champion)
    if stored:
        return observations(stored)[-rows:]
    return observations_of_run(run, rows, trust=parts.config.serve.trust)
