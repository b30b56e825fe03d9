"""Sampling of transitions from a replay buffer: uniform, or by priority."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from agents.sum_tree import SumTree

PRIORITY_EPSILON = 1e-6  # added to every |TD error|, so that no transition is lost


class UniformSampler:
    """Draws every available slot with the same probability.

    Args:
        size: slots of the buffer.
    """

    def __init__(self, size: int):
        self.available = np.zeros(size, bool)  # which slots can be drawn
        self.count = 0

    def add(self, slots: np.ndarray) -> None:
        """Make slots available that were not."""
        self.available[slots] = True
        self.count += slots.size

    def remove(self, slots: np.ndarray) -> None:
        """Take available slots out."""
        self.available[slots] = False
        self.count -= slots.size

    def sample(
        self, batch_size: int, filled: int, rng: np.random.Generator, beta: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """Slots int64 `[B]`, drawn with replacement, and their importance weights float32 `[B]`.

        Args:
            filled: how many of the first slots have been written.
            beta: see `PrioritizedSampler`; without priorities every weight is 1.
        """
        # Draws among all slots that are filled, until enough of them are available.
        index = np.empty(0, np.int64)
        while index.size < batch_size:
            missing = batch_size - index.size
            draws = rng.integers(filled, size=-(-missing * filled // self.count))
            index = np.concatenate([index, draws[self.available[draws]][:missing]])
        return index, np.ones(batch_size, np.float32)

    def update(self, index: np.ndarray, td_errors: np.ndarray) -> None:
        """Take in the TD errors `[B]` of drawn slots; without priorities they change nothing."""

    def state(self, filled: int) -> tuple[dict[str, np.ndarray], dict[str, float]]:
        """Views of what belongs to the first `filled` slots, and JSON."""
        return {"available": self.available[:filled]}, {}

    def load_state(self, arrays: Mapping[str, np.ndarray], meta: Mapping[str, float]) -> None:
        """Restore what `state` gave."""
        self.available[:] = False
        self.available[: len(arrays["available"])] = arrays["available"]
        self.count = int(self.available.sum())


class PrioritizedSampler(UniformSampler):
    """Draws in proportion to p^α, with p = |TD error| + ε, and weights by (M·P)^−β / max.

    Schaul et al., *Prioritized experience replay*, ICLR 2016 (arXiv 1511.05952), algorithm 1. The maximum is that over
    the whole buffer: with that of a batch, the scale would depend on what was drawn, and β = 1 would not undo the bias.

    Args:
        alpha: α; 0 draws uniformly.
    """

    def __init__(self, size: int, alpha: float):
        super().__init__(size)
        self._alpha = alpha
        self._tree = SumTree(size)
        self._largest = 1.0  # p^α of a new transition: the largest there has been

    def add(self, slots: np.ndarray) -> None:
        """Make slots available, with the largest priority there has been."""
        super().add(slots)
        self._tree.set(slots, self._largest)

    def remove(self, slots: np.ndarray) -> None:
        """Take available slots out."""
        super().remove(slots)
        self._tree.set(slots, 0.0)

    def sample(
        self, batch_size: int, filled: int, rng: np.random.Generator, beta: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """Like `UniformSampler.sample`; β, from 0 to 1, is how much the weights correct for the priorities."""
        index = self._tree.sample(batch_size, rng)
        # M and the total of p^α are in a weight and in the largest weight alike.
        weights = (self._tree.leaves.take(index) / self._tree.least) ** -beta
        return index, weights.astype(np.float32)

    def update(self, index: np.ndarray, td_errors: np.ndarray) -> None:
        """Give drawn slots new priorities; where a slot occurs twice, its last TD error counts.

        Raises:
            ValueError: a TD error is not finite.
        """
        weights = (np.abs(np.asarray(td_errors, np.float64)) + PRIORITY_EPSILON) ** self._alpha
        self._tree.set(index, np.where(self.available[index], weights, 0.0))
        self._largest = max(self._largest, float(weights.max(initial=0.0)))

    def state(self, filled: int) -> tuple[dict[str, np.ndarray], dict[str, float]]:
        """Views of what belongs to the first `filled` slots, and JSON."""
        arrays, _ = super().state(filled)
        return {**arrays, "priorities": self._tree.leaves[:filled]}, {"largest_priority": self._largest}

    def load_state(self, arrays: Mapping[str, np.ndarray], meta: Mapping[str, float]) -> None:
        """Restore what `state` gave."""
        super().load_state(arrays, meta)
        self._tree.load(arrays["priorities"])
        self._largest = meta["largest_priority"]
