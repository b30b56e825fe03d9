"""Batches of one size: what is computed for a row must not depend, in its last bits, on the other rows.

Libraries choose a kernel by the size of a batch, and with it the order in which a row's products are added.
"""

from __future__ import annotations

import numpy as np

ROWS = 32  # of a batch; the copies of a Gymnasium environment that a gate plays at once


def filled(rows: np.ndarray, size: int = ROWS) -> np.ndarray:
    """`[N, …]` with copies of its first row after the last, so that N is a multiple of `size`."""
    missing = -len(rows) % size
    return np.concatenate([rows, np.repeat(rows[:1], missing, axis=0)]) if missing else rows
