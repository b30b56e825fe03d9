"""`Judge`: measures how good a prompt is on single items; a local language model as a judge."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from math import log
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from rl_eval.domains.prompt.scoring.answer_cache import AnswerCache
from rl_eval.domains.prompt.scoring.item_prompt import CONTENT_FREE_INPUTS, item_prompt
from rl_eval.domains.prompt.scoring.language_model import LanguageModel
from rl_eval.domains.prompt.scoring.scores import LEAST_PROBABILITY, calibrate
from rl_eval.domains.prompt.tasks.task import Item, Task
from rl_eval.errors import InputError


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
    """The calibrated log-likelihood of the right label by a language model on this machine, in nats.

    Args:
        path: a GGUF file.
        cache: answers of earlier runs; None: only those of this judge.

    Raises:
        InputError: a missing extra, or a file that is not a model.
    """

    measure = "calibrated log-likelihood"
    low, high = log(LEAST_PROBABILITY), 0.0

    def __init__(self, path: Path, threads: int = 1, *, cache: AnswerCache | None = None):
        self._model = LanguageModel(path, threads)
        self.name, self.calls = self._model.name, 0
        self._cache = AnswerCache() if cache is None else cache

    def calls_of(self, items: int) -> int:
        """Items, and the content-free inputs."""
        return items + len(CONTENT_FREE_INPUTS)

    def values(self, prompt: str, task: Task, items: Sequence[Item]) -> np.ndarray:
        """ln p(right label) of each item `[I]`, at least `low`.

        Raises:
            InputError: the model cannot score the prompt, or the kept answers are damaged.
        """
        content_free = np.array([self._probabilities(prompt, task, text) for text in CONTENT_FREE_INPUTS]).mean(axis=0)
        probabilities = np.array([self._probabilities(prompt, task, item.text) for item in items])
        return right_log_likelihoods(calibrate(probabilities, content_free), task, items)

    def _probabilities(self, prompt: str, task: Task, text: str) -> np.ndarray:
        """The probability of each label for an input `[L]`; an input is evaluated once."""
        content = json.dumps([self._model.hash, task.labels, item_prompt(prompt, text)])
        request = hashlib.sha256(content.encode()).hexdigest()
        kept = self._cache.get(request)
        if kept is None:
            self.calls += 1
            kept = self._model.label_probabilities(prompt, task.labels, [text])[0].tolist()
            self._cache.put(request, kept)
        if not _are_probabilities(kept, len(task.labels)):
            raise InputError("a kept answer has no probabilities of the labels: name another file with --cache")
        return np.array(kept)


def _are_probabilities(kept: Any, count: int) -> bool:
    return (
        isinstance(kept, list)
        and len(kept) == count
        and all(isinstance(p, float) and 0 < p <= 1 for p in kept)
        and abs(sum(kept) - 1) < 1e-6
    )


def right_log_likelihoods(probabilities: np.ndarray, task: Task, items: Sequence[Item]) -> np.ndarray:
    """ln p of the right label of each item `[I]`, for `[I, L]` probabilities; p is at least `LEAST_PROBABILITY`."""
    right = [task.labels.index(item.label) for item in items]
    return np.log(np.maximum(probabilities[np.arange(len(items)), right], LEAST_PROBABILITY))
