"""`Experience`: the rollout that an update of PPO or A2C learns from, as arrays."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np


class Experience(NamedTuple):
    """B transitions of a rollout, or a minibatch of them: torch tensors, or numpy arrays."""

    obs: Any  # [B, D] as the network takes them
    actions: Any  # [B] or [B, A]
    log_probs: Any  # [B] of the actions when they were taken
    advantages: Any  # [B]
    values: Any  # [B] before the update, in the critic's units
    returns: Any  # [B] in the critic's units
    masks: Any = None  # [B, A] bool, which actions are legal; None: all
    rewards_of_actions: Any = None  # [B, A] what each action would have earned; None: not known

    def rows(self, index: np.ndarray | slice) -> Experience:
        """Some of the rows."""
        return Experience(*(None if column is None else column[index] for column in self))

    def to_numpy(self) -> Experience:
        """The same memory as numpy arrays; on the CPU."""
        return Experience(*(None if column is None else column.numpy() for column in self))
