"""Flows as they were read, before any preprocessing."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace

import numpy as np

from rl_eval.seeding import mix64


@dataclass(frozen=True)
class Table:
    """R flows with C numeric and K categorical fields.

    Attributes:
        numeric: `[R, C]` float64, finite.
        levels: for each categorical field its distinct values.
        codes: `[R, K]` int32, each flow's index into `levels`.
        label: `[R]` int8, 1 for a threat.
        category: `[R]` int16, index into `category_names`: attack type or family.
    """

    numeric_names: tuple[str, ...]
    numeric: np.ndarray = field(repr=False)
    categorical_names: tuple[str, ...]
    levels: tuple[tuple[str, ...], ...] = field(repr=False)
    codes: np.ndarray = field(repr=False)
    label: np.ndarray = field(repr=False)
    category_names: tuple[str, ...]
    category: np.ndarray = field(repr=False)

    def __len__(self) -> int:
        return len(self.label)

    def rows(self, index: np.ndarray) -> Table:
        """The flows that an index or mask selects."""
        return replace(
            self,
            numeric=self.numeric[index],
            codes=self.codes[index],
            label=self.label[index],
            category=self.category[index],
        )

    def recode(self, category_names: tuple[str, ...]) -> Table:
        """The same flows with category codes that index another list of names, a superset of this one's."""
        place = np.array([category_names.index(name) for name in self.category_names], np.int16)
        return replace(self, category_names=category_names, category=place[self.category])


def row_hashes(table: Table) -> np.ndarray:
    """A 64-bit hash of each flow's fields, uint64 `[R]`; equal fields give equal hashes on every machine.

    The label takes no part: a flow that occurs with two labels is still one flow.
    """
    state = np.full(len(table), 0x9E3779B97F4A7C15, np.uint64)
    for column in (table.numeric + 0.0).T:  # + 0.0 makes -0.0 equal to 0.0
        state = mix64(state ^ np.ascontiguousarray(column).view(np.uint64))
    for levels, codes in zip(table.levels, table.codes.T, strict=True):
        of_level = np.array([_of_text(level) for level in levels], np.uint64)
        state = mix64(state ^ of_level[codes])
    return state


def _of_text(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")
