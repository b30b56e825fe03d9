"""The order of the flows of a part: shuffles, campaigns, and the endless stream of training."""

from __future__ import annotations

from typing import Any

import numpy as np

# Mean number of threats in a burst of a campaign.
BURST = 10


def episode_count(flows: int, shift: int) -> int:
    """Number of episodes of at most `shift` flows that play each flow once."""
    return -(-flows // shift)


def shuffle_flows(rng: np.random.Generator, label: np.ndarray, category: np.ndarray, campaigns: bool) -> np.ndarray:
    """A random permutation of the flows, int32 `[R]`; in campaigns, threats of a category come in bursts."""
    order = rng.permutation(len(label)).astype(np.int32)
    if not campaigns:
        return order
    threats, benign = order[label[order] == 1], order[label[order] == 0]
    threats = threats[np.argsort(category[threats], kind="stable")]
    kind = category[threats]
    starts = rng.random(len(threats)) < 1.0 / BURST
    starts[1:] |= kind[1:] != kind[:-1]
    burst = np.cumsum(starts)
    # Each burst is put between two benign flows; two bursts at the same gap follow each other.
    gap = rng.integers(0, len(benign) + 1, size=burst[-1] + 1)[burst]
    position = np.concatenate([gap - 0.5, np.arange(len(benign))])
    tie = np.concatenate([burst, np.zeros(len(benign), burst.dtype)])
    return np.concatenate([threats, benign])[np.lexsort((tie, position))]


class FlowStream:
    """An endless stream of the flows of a part: one shuffle after another."""

    def __init__(self, label: np.ndarray, category: np.ndarray, campaigns: bool):
        self._label, self._category, self._campaigns = label, category, campaigns
        self.seed(None)

    def seed(self, seed: list[int] | None) -> None:
        """Restart from a seed; None: from fresh entropy."""
        self._rng = np.random.default_rng(np.random.SeedSequence(seed))
        self._order, self._cursor = np.zeros(0, np.int32), 0

    def take(self, count: int, length: int) -> np.ndarray:
        """The next `count` blocks, int32 `[length + 1, count]`.

        The last row is the flow after each block: the first of the next block, which is not consumed.
        """
        needed = count * length + 1
        pieces, collected = [], 0
        cursor = self._cursor
        order = self._order
        while True:
            piece = order[cursor : cursor + needed - collected]
            pieces.append(piece)
            collected += len(piece)
            cursor += len(piece)
            if collected == needed:
                break
            order, cursor = shuffle_flows(self._rng, self._label, self._category, self._campaigns), 0
        self._order, self._cursor = order, cursor - 1
        flows = np.concatenate(pieces)
        starts = np.arange(count) * length
        return flows[starts + np.arange(length + 1)[:, None]]

    def get_state(self) -> dict[str, Any]:
        """The random generator, the current shuffle and the position in it."""
        return {"generator": self._rng.bit_generator.state, "order": self._order.copy(), "cursor": self._cursor}

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue exactly where `get_state` was called."""
        self._rng.bit_generator.state = state["generator"]
        self._order, self._cursor = np.array(state["order"], np.int32), int(state["cursor"])
