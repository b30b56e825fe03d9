"""Hashes of 64 bits: of words, of rows of numbers and of texts. They are the same on every machine.

They decide the part of the data for each case, and which cases count as equal, so their values never change.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np


def mix64(words: np.ndarray | np.uint64) -> np.ndarray:
    """Map every word to one that looks random, uint64 of the same shape; a bijection.

    This is the step and the finaliser of SplitMix64 (Steele et al., OOPSLA 2014).
    """
    with np.errstate(over="ignore"):
        word = np.asarray(words, np.uint64) + np.uint64(0x9E3779B97F4A7C15)
        word = (word ^ (word >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        word = (word ^ (word >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return np.asarray(word ^ (word >> np.uint64(31)))


def hash_columns(columns: Iterable[np.ndarray], n_rows: int, start: int = 0) -> np.ndarray:
    """One hash per row of columns `[N]`, uint64 `[N]`; the order of the columns counts.

    Args:
        columns: of any dtype of 64 bits; what is hashed is their bits.
        n_rows: N.
        start: the hash of a row without columns.
    """
    state = np.full(n_rows, start, np.uint64)
    for column in columns:
        state = mix64(state ^ np.ascontiguousarray(column).view(np.uint64))
    return state


def hash_text(text: str) -> int:
    """BLAKE2b of a text in 64 bits, as an integer."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")
