"""Observations of a replay buffer and their action masks: by far the most of what it holds, in one of three places.

The rest of a buffer (actions, rewards, ends, priorities) takes about 40 bytes per step and stays in memory.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import numpy as np

from agents.replay_storage import allocate


class Observations(Protocol):
    """One observation `[…]` per slot, and a mask `[A]` once `keep_masks` was called; all zeros at first."""

    shape: tuple[int, ...]
    dtype: np.dtype
    actions: int | None  # A; None: no masks

    def keep_masks(self, actions: int) -> None:
        """Make room for a mask with every observation; before the first `write`."""

    def write(self, slots: np.ndarray, obs: np.ndarray, mask: np.ndarray | None) -> None:
        """Put observations `[B, …]` and masks `[B, A]` (None: all actions are legal) into slots `[B]`."""

    def read(self, slots: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Observations `[B, …]` and masks `[B, A]` of slots `[B]`; None: there are no masks."""

    def state(self, filled: int) -> dict[str, np.ndarray]:
        """`obs`, and `masks` where there are any, of the first slots; to be used before the next change."""

    def load_state(self, obs: np.ndarray, masks: np.ndarray | None) -> None:
        """Write the first slots."""


class ArrayObservations:
    """In memory, or in a file of `folder`.

    Args:
        size: slots.

    Raises:
        ValueError: the folder cannot take the file.
    """

    def __init__(self, size: int, shape: tuple[int, ...], dtype: Any, storage: str, folder: Path | None):
        self.shape, self.dtype = shape, np.dtype(dtype)
        self.actions: int | None = None
        self._size, self._storage, self._folder = size, storage, folder
        self._obs = allocate((size, *shape), self.dtype, storage, folder)
        self._masks: np.ndarray | None = None

    def keep_masks(self, actions: int) -> None:
        """Make room for a mask with every observation; before the first `write`."""
        self._masks = allocate((self._size, actions), np.dtype(bool), self._storage, self._folder)
        self.actions = actions

    def write(self, slots: np.ndarray, obs: np.ndarray, mask: np.ndarray | None) -> None:
        """Put observations and masks into slots."""
        self._obs[slots] = obs
        if self._masks is not None:
            self._masks[slots] = True if mask is None else mask

    def read(self, slots: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Observations and masks of slots."""
        masks = self._masks
        return self._obs.take(slots, axis=0), None if masks is None else masks.take(slots, axis=0)

    def state(self, filled: int) -> dict[str, np.ndarray]:
        """Views of the first slots."""
        masks = {} if self._masks is None else {"masks": self._masks[:filled]}
        return {"obs": self._obs[:filled], **masks}

    def load_state(self, obs: np.ndarray, masks: np.ndarray | None) -> None:
        """Write the first slots."""
        self._obs[: len(obs)] = obs
        if self._masks is not None:
            self._masks[: len(obs)] = masks
