"""`TextObserver`: texts, such as prompts, read as observations of a run, for the policy server."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


class TextObserver(ABC):
    """Reads texts as a run's observations, with the run's encoder.

    Attributes:
        identity: of the encoder: name, version and digest as one text. Embeddings of another one mean something else,
            also where they have the same width.
    """

    identity: str

    @abstractmethod
    def observe(self, text: str) -> tuple[np.ndarray, np.ndarray | None]:
        """The observation of a text at the start of an episode, `[D]` float32, and its action mask, bool `[A]` or None.

        Raises:
            InputError: no text that can be read so.
        """
