"""Raw flows as columns, before preprocessing."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from rl_eval.domains.threat.fitted_preprocessing import LeftOut, TypedColumn
from rl_eval.hashing import hash_columns, hash_text, mix64


@dataclass(frozen=True)
class Reading:
    """How the fields of flows come from the columns of a file, in the order of the columns.

    Attributes:
        columns: those that fields are made of.
        numbers: those of them that are a numeric field each; those in `typed` are several; the others are categories.
        left_out: columns that no field is made of.
        events: of EVE, the types of events that are rows.
    """

    columns: tuple[str, ...] = ()
    numbers: frozenset[str] = frozenset()
    typed: tuple[TypedColumn, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    events: tuple[str, ...] = ()


NOT_READ = Reading()  # of flows that were not read from a file


@dataclass(frozen=True)
class Table:
    """R flows with C numeric and K categorical fields.

    Attributes:
        numeric: `[R, C]` float64; NaN where a value is missing.
        levels: for each categorical field its distinct values.
        codes: `[R, K]` int32, each flow's index into `levels`.
        label: `[R]` int8, 1 for a threat.
        category: `[R]` int16, index into `category_names`: attack type or family.
        time: `[R]` numbers that order the flows in time; None where the time is not known. It is not a field.
        reading: how the fields were read from a file; empty where they were not.
    """

    numeric_names: tuple[str, ...]
    numeric: np.ndarray = field(repr=False)
    categorical_names: tuple[str, ...]
    levels: tuple[tuple[str, ...], ...] = field(repr=False)
    codes: np.ndarray = field(repr=False)
    label: np.ndarray = field(repr=False)
    category_names: tuple[str, ...]
    category: np.ndarray = field(repr=False)
    time: np.ndarray | None = field(default=None, repr=False)
    reading: Reading = field(default=NOT_READ, repr=False)

    def __len__(self) -> int:
        return len(self.label)

    def rows(self, index: np.ndarray) -> Table:
        """The flows selected by an index or mask."""
        return replace(
            self,
            numeric=self.numeric[index],
            codes=self.codes[index],
            label=self.label[index],
            category=self.category[index],
            time=None if self.time is None else self.time[index],
        )

    def recode(self, category_names: tuple[str, ...]) -> Table:
        """The same flows with category codes for another list of names, a superset."""
        new_code = np.array([category_names.index(name) for name in self.category_names], np.int16)
        return replace(self, category_names=category_names, category=new_code[self.category])


def row_hashes(table: Table) -> np.ndarray:
    """A 64-bit hash of each flow's fields by name, uint64 `[R]`; equal fields give equal hashes on every machine.

    The order of the fields does not count. The label is not hashed: a flow that occurs with two labels is one flow.
    """
    total = np.full(len(table), len(table.numeric_names) + len(table.categorical_names), np.uint64)
    for name, column in zip((*table.numeric_names, *table.categorical_names), _columns(table), strict=True):
        # the name is mixed, since a level that is called as another column would otherwise be exchanged with it
        total += mix64(np.ascontiguousarray(column).view(np.uint64) ^ mix64(np.uint64(hash_text(name))))
    return mix64(total)


def partition_hashes(table: Table) -> np.ndarray:
    """A 64-bit hash of each flow's fields in their order, uint64 `[R]`, which decides the part of a flow.

    Names do not count. Another hash would put the flows of a file into other parts.
    """
    return hash_columns(_columns(table), len(table), start=0x9E3779B97F4A7C15)


def _columns(table: Table) -> list[np.ndarray]:
    """Numbers as they are, and categories as the hashes of their levels, each `[R]` of 64 bits."""
    level_hashes = [np.array([hash_text(level) for level in levels], np.uint64) for levels in table.levels]
    numeric = table.numeric + 0.0  # makes -0.0 equal to 0.0
    numeric[np.isnan(numeric)] = np.nan  # all with the same bits
    return [
        *numeric.T,
        *(hashes[codes] for hashes, codes in zip(level_hashes, table.codes.T, strict=True)),
    ]
