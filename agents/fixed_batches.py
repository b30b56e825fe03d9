"""Batches of one size, so that what a network computes for a row does not depend on the other rows.

BLAS chooses a kernel by the size of a batch, and with it the order in which a row's products are added: the same row
has other last bits on its own than among ten. Some kernels depend on its place in memory, too. Training does not need
this, so its bytes stay as they are.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

ROWS = 32  # of a batch; the copies of a Gymnasium environment that a gate plays at once
ALIGNMENT = 64  # bytes, of where a batch begins in memory

Function = Callable[[np.ndarray], np.ndarray]


class FixedBatches:
    """A function of rows, float32 `[N, …]` to `[N, …]`, that is called with 32 rows each time, filled up with zeros.

    Where the place of a row among 32 matters, which is tried out before the first call, it is called with one row.
    """

    def __init__(self, function: Function):
        self._function = function
        self._rows = 0  # not yet known

    def __call__(self, inputs: np.ndarray) -> np.ndarray:
        """The function of each row."""
        if not self._rows:
            self._rows = ROWS if is_place_irrelevant(self._function, inputs.shape[1:]) else 1
        return _in_batches(self._function, inputs, self._rows)


def is_place_irrelevant(function: Function, shape: tuple[int, ...]) -> bool:
    """Whether a function gives a row the same bits at each place among any 32 rows.

    Args:
        shape: of a row.
    """
    rows = np.random.default_rng(0).standard_normal((ROWS, *shape), np.float32)
    first = _in_batches(function, rows, ROWS)
    return all(
        np.array_equal(_in_batches(function, np.roll(rows, shift, axis=0), ROWS), np.roll(first, shift, axis=0))
        for shift in range(1, ROWS)
    )


def _in_batches(function: Function, inputs: np.ndarray, rows: int) -> np.ndarray:
    count, filled_count = len(inputs), -(-len(inputs) // rows) * rows
    if rows == 1:
        batches = [_aligned(inputs[row : row + 1], 1) for row in range(count)]
    else:
        filled = _aligned(inputs, filled_count)  # each batch begins at such a multiple, too
        batches = [filled[start : start + rows] for start in range(0, filled_count, rows)]
    outputs = list(map(function, batches))
    return (outputs[0] if len(outputs) == 1 else np.concatenate(outputs))[:count]


def _aligned(inputs: np.ndarray, rows: int) -> np.ndarray:
    """A copy with rows of zeros at its end, which begins at a multiple of `ALIGNMENT`; numpy promises one of 16."""
    size, width = inputs.itemsize, math.prod(inputs.shape[1:])
    memory = np.empty(rows * width + ALIGNMENT // size, inputs.dtype)
    begin = -memory.__array_interface__["data"][0] % ALIGNMENT // size
    copy = memory[begin : begin + rows * width].reshape(rows, *inputs.shape[1:])
    copy[: len(inputs)] = inputs
    copy[len(inputs) :] = 0
    return copy
