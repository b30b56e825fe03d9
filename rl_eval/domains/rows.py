"""`RowReader`: rows of new data, read as observations and priced, for `rl-eval score`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    import gymnasium
    import numpy as np

    from rl_eval.policy import Policy

# Actions [R] and their probabilities [R, A], None if the policy has none -> the expected cost of each action, [R].
ExpectedCost = Callable[["np.ndarray", "np.ndarray | None"], "np.ndarray"]


@dataclass(frozen=True)
class RowChunk:
    """R rows of new data, in their order.

    Attributes:
        position: `[R]` the line or row of the source that each begins at, from 1.
        observations: `[R, D]` float32.
        kept: column -> `[R]` its texts, for the columns that the caller keeps.
        unknown: column -> how many of the R values are ones that the policy cannot tell apart from others, since
            training did not have them.
    """

    position: Sequence[int] = field(repr=False)
    observations: np.ndarray = field(repr=False)
    kept: Mapping[str, Sequence[str]] = field(repr=False)
    unknown: Mapping[str, int] = field(default_factory=dict, repr=False)


class RowReader(ABC):
    """Reads new data as a run's observations, with the run's preprocessing.

    Attributes:
        observation_space, action_space: of one row; actions are Discrete.
        columns: column of the data -> the columns of the observation that are made from it, integers.
    """

    observation_space: gymnasium.Space
    action_space: gymnasium.spaces.Discrete
    columns: Mapping[str, np.ndarray]

    @abstractmethod
    def chunks(self, source: Path | BinaryIO, keep: Sequence[str]) -> Iterator[RowChunk]:
        """The rows of a file or of a stream of CSV, a bounded number at a time.

        Raises:
            InputError: a column is missing, or a row cannot be read; names it.
        """

    @abstractmethod
    def typical_observation(self) -> np.ndarray:
        """The median or most frequent value of each column in training, as an observation `[D]`.

        Raises:
            InputError: the training data cannot be read.
        """

    def cost_note(self) -> str | None:
        """What to know of `expected_cost`, as a sentence; called after it."""
        return None

    @abstractmethod
    def expected_cost(self, policy: Policy) -> ExpectedCost:
        """What an action costs on average where the policy decides so, estimated on the validation part.

        Raises:
            InputError: the data cannot be read.
        """
