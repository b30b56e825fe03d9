"""`Agent`: the interface of an agent that training uses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np


class Agent(Protocol):
    """The interface of an agent; see `agents.base_agent.BaseAgent`."""

    env_steps: int
    gradient_steps: int
    training_epochs: int
    log: Any

    @property
    def steps_per_iteration(self) -> int: ...
    def start(self, seeds: list[int], *, cut: bool = False) -> None: ...
    def iterate(self) -> dict[str, float]: ...
    def initialize(self, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> None: ...
    def policy_checkpoint(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]: ...
    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]: ...
    def load_state(self, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> None: ...
