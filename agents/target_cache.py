"""Q-values of the target network, stored so that each is computed once between two changes of that network.

With a hard target, batches of 128 and 256 units per layer (docs/performance.md), training takes 8 % more env steps a
second over its first 41,000: 14 % in the first third of them, 4 % in the last. A soft target changes with every
update, so there is nothing to store.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

NEVER = -1


class TargetCache:
    """Q-values of the target network for stored observations, until it changes.

    Between two copies of the online network `target_every` batches are drawn. If the buffer holds fewer transitions
    than these have rows, most values would be computed several times. A slot and the env steps when it was written
    identify an observation.

    Args:
        slots: how many of the buffer's first slots have room here.
        actions: A.
    """

    def __init__(self, slots: int, actions: int):
        self.slots = slots
        self._q = np.zeros((slots, actions), np.float32)
        self._written = np.full(slots, NEVER, np.int64)

    def clear(self) -> None:
        """Drop every value, since the target network has changed."""
        self._written.fill(NEVER)

    def q_values(
        self,
        slots: np.ndarray,
        written: np.ndarray,
        inputs: np.ndarray,
        compute: Callable[[np.ndarray], np.ndarray],
    ) -> np.ndarray:
        """Q `[B, A]` of observations.

        Args:
            slots, written: `[B]` the slot of each, and the env steps when it was written.
            inputs: `[B, D]`, the observations as the network sees them.
            compute: the target network.
        """
        new = np.flatnonzero(self._written.take(slots) != written)
        if new.size:
            new_slots = slots[new]
            self._q[new_slots] = compute(inputs[new])
            self._written[new_slots] = written[new]
        return self._q.take(slots, axis=0)

    def state(self, filled: int) -> dict[str, np.ndarray]:
        """Views of what belongs to the `filled` slots of a buffer; nothing where these are more than there is room for.

        The values are saved, not computed again: the last bits of a row depend on how many rows are computed together.
        """
        stored = filled if filled <= self.slots else 0
        return {"q": self._q[:stored], "written": self._written[:stored]}

    def load_state(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Restore what `state` gave."""
        self.clear()
        self._q[: len(arrays["q"])] = arrays["q"]
        self._written[: len(arrays["written"])] = arrays["written"]
