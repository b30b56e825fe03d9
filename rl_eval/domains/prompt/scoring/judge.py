"""`Judge`: what tells how well a prompt does on single items; a local language model as one."""

from __future__ import annotations

from collections.abc import Sequence
from math import log
from pathlib import Path
from typing import Protocol

import numpy as np

from rl_eval.domains.prompt.scoring.item_prompt import CONTENT_FREE_INPUTS
from rl_eval.domains.prompt.scoring.language_model import LanguageModel
from rl_eval.domains.prompt.scoring.scores import LEAST_PROBABILITY, calibrate
from rl_eval.domains.prompt.tasks.task import Item, Task


class Judge(Protocol):
    """Values of a prompt on items, larger for better.

    Attributes:
        name: of the model.
        measure: what the values are, in a few words.
        low, high: bounds of the values.
        calls: how many requests the model has answered.
    """

    name: str
    measure: str
    low: float
    high: float
    calls: int

    def calls_of(self, items: int) -> int:
        """How many requests the values of one prompt on so many items take, if none is cached."""

    def values(self, prompt: str, task: Task, items: Sequence[Item]) -> np.ndarray:
        """The value of a prompt on each item `[I]`.

        Raises:
            InputError: the model cannot be asked.
        """


class LocalJudge:
    """The calibrated log-likelihood of the right label by a language model on this machine, in nats."""

    measure = "calibrated log-likelihood"
    low, high = log(LEAST_PROBABILITY), 0.0

    def __init__(self, path: Path, threads: int = 1):
        self._model = LanguageModel(path, threads)
        self.name, self.calls = self._model.name, 0
        self._content_free: dict[tuple[str, tuple[str, ...]], np.ndarray] = {}

    def calls_of(self, items: int) -> int:
        """Items, and the content-free inputs."""
        return items + len(CONTENT_FREE_INPUTS)

    def values(self, prompt: str, task: Task, items: Sequence[Item]) -> np.ndarray:
        """ln p(right label) of each item `[I]`, at least `low`."""
        key = (prompt, task.labels)
        if key not in self._content_free:
            self._content_free[key] = self._model.content_free(*key)
            self.calls += len(CONTENT_FREE_INPUTS)
        probabilities = self._model.label_probabilities(prompt, task.labels, [item.text for item in items])
        self.calls += len(items)
        return right_log_likelihoods(calibrate(probabilities, self._content_free[key]), task, items)


def right_log_likelihoods(probabilities: np.ndarray, task: Task, items: Sequence[Item]) -> np.ndarray:
    """ln p of the right label of each item `[I]`, for `[I, L]` probabilities; p is at least `LEAST_PROBABILITY`."""
    right = [task.labels.index(item.label) for item in items]
    return np.log(np.maximum(probabilities[np.arange(len(items)), right], LEAST_PROBABILITY))
