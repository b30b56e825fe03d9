"""Optional interfaces of vector environments: their state, what other actions would have caused, ranking cases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np


@runtime_checkable
class StatefulVector(Protocol):
    """A vector that gives and takes its state, so that a run resumes in the middle of its episodes."""

    def get_state(self) -> dict[str, Any]:
        """Everything that decides what comes next, as arrays and JSON values."""

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue exactly where `get_state` was called, on an environment of the same config."""


@runtime_checkable
class AllActionsVector(Protocol):
    """A vector with Discrete actions that knows what each of them would have caused."""

    @property
    def knows_all_actions(self) -> bool:
        """Whether it does, with its config."""

    def outcomes_of_actions(self) -> Sequence[Mapping[str, np.ndarray]]:
        """For each of the A actions, `infos["outcome"]` of the latest step, if every copy had taken it."""


@runtime_checkable
class RankingVector(Protocol):
    """A vector whose actions are priorities: an episode's cases are ranked by a score before they count."""

    def candidates(self) -> Mapping[str, np.ndarray]:
        """The cases to score, for baselines, as columns `[N]`."""

    def rank(self, scores: np.ndarray) -> None:
        """The scores `[N]` of these cases, the highest first; called before `step`."""
