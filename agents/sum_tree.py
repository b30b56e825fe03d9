"""`SumTree`: many weights that can be changed, and indices drawn in proportion to them.

It has three levels: the leaves, the sums of groups of 16 leaves, and the sums of blocks of 16 groups, whose running
total is searched by bisection. Few wide levels take few operations on arrays, and the numbers that one draw or change
needs are close together in memory. A sum is always computed from its parts, never corrected by a difference. So nothing
drifts, and a tree built at once from the same leaves has the same bits.
"""

from __future__ import annotations

import numpy as np

FAN_OUT = 16
LARGEST = 1e300  # of a leaf: 1e8 of them still have a finite sum
_MAX_WAITING = 1024  # calls of `set` before the sums are computed even if nobody has read them
_MANY = 4096  # changed groups; from here on it pays to drop duplicates


class SumTree:
    """Weights `[capacity]`, float64, at first all 0."""

    def __init__(self, capacity: int):
        if capacity < 1:
            raise ValueError(f"a sum tree of capacity {capacity}: it needs at least 1")
        blocks = -(-capacity // FAN_OUT**2)
        self.capacity = capacity
        self._leaves = np.zeros(blocks * FAN_OUT**2)
        self._groups = np.zeros(blocks * FAN_OUT)
        self._running = np.zeros(blocks + 1)  # the sum of the blocks before each; last: of all
        self._blocks = np.zeros(blocks)
        # The smallest positive leaf of each group and block; inf: none.
        self._group_least = np.full(blocks * FAN_OUT, np.inf)
        self._block_least = np.full(blocks, np.inf)
        self._waiting: list[np.ndarray] = []  # groups whose leaves have changed since their sums were computed

    @property
    def leaves(self) -> np.ndarray:
        """The weights `[capacity]`, a view to read."""
        return self._leaves[: self.capacity]

    @property
    def total(self) -> float:
        """The sum of all weights."""
        self._sum_up()
        return float(self._running[-1])

    @property
    def least(self) -> float:
        """The smallest weight above 0; inf where there is none."""
        self._sum_up()
        return float(self._block_least.min())

    def set(self, index: np.ndarray, weights: np.ndarray | float) -> None:
        """Change leaves; if an index occurs twice, its last weight counts.

        Args:
            index: int `[B]`, in `[0, capacity)`.
            weights: `[B]`, or one for all; in `[0, LARGEST]`.

        Raises:
            ValueError: a weight is not in that range.
        """
        if not len(index):
            return
        low, high = (weights, weights) if isinstance(weights, float) else (weights.min(), weights.max())
        if not (low >= 0.0 and high <= LARGEST):  # nan is neither
            raise ValueError(f"a weight of a sum tree is {low if low < 0 else high}: it must be in [0, {LARGEST:g}]")
        self._leaves[index] = weights
        self._waiting.append(index // FAN_OUT)
        if len(self._waiting) > _MAX_WAITING:
            self._sum_up()

    def find(self, targets: np.ndarray) -> np.ndarray:
        """The leaves `[B]` whose parts of the running total contain the targets `[B]`, never one of weight 0.

        Args:
            targets: in `[0, total]`.

        Raises:
            ValueError: all weights are 0.
        """
        self._sum_up()
        if self._running[-1] <= 0.0:
            raise ValueError("nothing can be drawn from a sum tree whose weights are all 0")
        # At each level the rest stays below the sum of the node, so that rounding never leads to a leaf of weight 0.
        rest = np.minimum(targets, np.nextafter(self._running[-1], 0.0))
        node = self._running[1:].searchsorted(rest, side="right")
        rest -= self._running.take(node)
        first = np.arange(len(targets)) * (FAN_OUT + 1)
        edges = np.zeros((len(targets), FAN_OUT + 1))
        for level in (self._groups, self._leaves):
            np.cumsum(level.reshape(-1, FAN_OUT).take(node, axis=0), axis=1, out=edges[:, 1:])
            np.minimum(rest, np.nextafter(edges[:, -1], 0.0), out=rest)
            child = (edges[:, 1:] > rest[:, None]).argmax(axis=1)
            rest -= edges.take(first + child)
            node = node * FAN_OUT + child
        return node

    def sample(self, size: int, rng: np.random.Generator) -> np.ndarray:
        """Leaves `[size]` drawn in proportion to their weights, one from each of `size` equal parts of the total.

        Stratified, as Schaul et al., *Prioritized experience replay*, ICLR 2016 (arXiv 1511.05952), app. B.2.1.

        Raises:
            ValueError: all weights are 0.
        """
        return self.find((np.arange(size) + rng.random(size)) * (self.total / size))

    def load(self, weights: np.ndarray) -> None:
        """Set the first leaves to weights `[up to capacity]`, and the rest to 0.

        Raises:
            ValueError: there are too many, or one is not in `[0, LARGEST]`.
        """
        if len(weights) > self.capacity:
            raise ValueError(f"{len(weights)} weights for a sum tree of capacity {self.capacity}")
        self._leaves[:] = 0.0
        self._waiting.clear()
        self.set(np.arange(len(weights)), weights)
        self._sum(np.arange(len(self._groups)), np.arange(len(self._blocks)))
        self._waiting.clear()

    def _sum_up(self) -> None:
        if self._waiting:
            groups = np.concatenate(self._waiting)
            self._waiting.clear()
            if len(groups) > _MANY:
                groups = np.unique(groups)
            self._sum(groups, groups // FAN_OUT)

    def _sum(self, groups: np.ndarray, blocks: np.ndarray) -> None:
        """Compute the sums and the least of some groups, and of their blocks."""
        leaves = _children(self._leaves, groups)
        self._groups[groups] = _sums(leaves)
        self._group_least[groups] = np.where(leaves > 0.0, leaves, np.inf).min(axis=0)
        self._blocks[blocks] = _sums(_children(self._groups, blocks))
        self._block_least[blocks] = _children(self._group_least, blocks).min(axis=0)
        np.cumsum(self._blocks, out=self._running[1:])


def _children(level: np.ndarray, nodes: np.ndarray) -> np.ndarray:
    """The children of some nodes, `[FAN_OUT, B]`: operations over the first axis are the fastest."""
    return np.ascontiguousarray(level.reshape(-1, FAN_OUT).take(nodes, axis=0).T)


def _sums(children: np.ndarray) -> np.ndarray:
    """Sums over the first axis, half by half.

    The order of additions in `sum` depends on how many nodes are summed together, and so do its last bits.
    """
    while len(children) > 1:
        half = len(children) // 2
        children = children[:half] + children[half:]
    return children[0]
