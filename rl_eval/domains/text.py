"""`TextObserver`: texts, such as prompts, read as observations of a run, for the policy server."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


class TextObserver(ABC):
    """Reads texts as a run's observations, with the run's encoder.

    Attributes:
        identity: of the encoder: name, version and digest as one text. Embeddings of another one mean something else,
            also where they have the same width.
        width: columns of an embedding, W. An embedding has length 1.
    """

    identity: str
    width: int

    @abstractmethod
    def observe(
        self, text: str, *, task: str | None = None, applied: Sequence[int] = (), embedding: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """The observation of a text, `[D]` float32, and its action mask, bool `[A]` or None.

        Args:
            task: the name of the task that the text is for; None: the domain has no tasks, or it is not one of them.
            applied: the actions that made the text of the one that its episode began with.
            embedding: `[W]` of this text by this encoder; None: it is made here.

        Raises:
            InputError: no text that can be read so, an unknown task, or an action that makes no text.
        """

    @abstractmethod
    def observe_embeddings(self, embeddings: np.ndarray) -> np.ndarray:
        """The observations `[N, D]` of embeddings `[N, W]` whose texts are not at hand.

        Raises:
            InputError: observations of this run hold more than an embedding; says what to send.
        """
