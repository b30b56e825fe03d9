"""What a policy sees of cases, as hashes: equal observations, equal ones after rounding, equal in all except one field.

The hash of an observation is a sum over its fields, so the order of columns does not matter. Two observations differ
in at most one of F fields if, for each bit b, they agree in all fields whose number has bit b set, or in all others.
So log2(F) hashes of halves of the fields replace F hashes that leave out one field each, and those are sums of halves.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from rl_eval.hashing import hash_text, mix64

# Units of the observation, which has mean 0 and deviation 1 if it is standardised. Records hold a hash for each.
ROUNDINGS = (0.001, 0.01, 0.1)
BLOCK_ROWS = 4096  # hashed at once: the hash loops over columns in Python
_GROUPS_FROM = 1 + len(ROUNDINGS)
_LOW = np.uint64(0xFFFFFFFF)


@dataclass(frozen=True)
class CaseObservations:
    """Observations of N cases, and the raw field that each column comes from.

    Attributes:
        rows: `[N, D]` float.
        fields: `[D]` names; several columns may be of one field.
    """

    rows: np.ndarray = field(repr=False)
    fields: Sequence[str] = field(repr=False)

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def field_names(self) -> list[str]:
        """The F names in the order of their numbers."""
        return sorted(set(self.fields))

    def field_hashes(self, rounding: float | None = None) -> Iterator[tuple[slice, np.ndarray]]:
        """Blocks of n rows, and a hash of each field of theirs, uint64 `[F, n]`; equal values give equal hashes.

        Args:
            rounding: values are rounded to its multiples first; None: they are compared as they are.
        """
        number = {name: index for index, name in enumerate(self.field_names)}
        place: dict[str, int] = {}  # of a column within its field
        columns = []
        for name in self.fields:
            place[name] = place.get(name, -1) + 1
            columns.append((number[name], np.uint64(hash_text(f"{name}\0{place[name]}"))))
        for first in range(0, len(self.rows), BLOCK_ROWS):
            block = slice(first, min(first + BLOCK_ROWS, len(self.rows)))
            values = np.ascontiguousarray(self.rows[block].T, np.float64)
            if rounding is not None:
                values = np.rint(values / rounding)
            bits = (values + 0.0).view(np.uint64)  # + 0.0 makes -0.0 equal to 0.0
            hashes = np.zeros((len(number), values.shape[1]), np.uint64)
            for (index, key), column in zip(columns, bits, strict=True):
                hashes[index] += mix64(column ^ key)
            yield block, hashes


def view_count(n_fields: int) -> int:
    """V, the hashes that a case of F fields has; none without fields."""
    return _GROUPS_FROM + (_bit_count(n_fields) + 1) // 2 if n_fields else 0


def _bit_count(n_fields: int) -> int:
    return max(1, (n_fields - 1).bit_length())


def case_views(cases: CaseObservations) -> np.ndarray:
    """The hashes of N cases, uint64 `[N, V]`: as they are, for each of `ROUNDINGS`, and of halves of the fields."""
    n_fields = len(cases.field_names)
    views = np.zeros((len(cases), view_count(n_fields)), np.uint64)
    if not n_fields:
        return views
    for block, hashes in cases.field_hashes():
        views[block, 0] = hashes.sum(axis=0, dtype=np.uint64)
        for bit in range(_bit_count(n_fields)):
            group = hashes[[index for index in range(n_fields) if index >> bit & 1]].sum(axis=0, dtype=np.uint64)
            views[block, _GROUPS_FROM + bit // 2] |= (group & _LOW) << np.uint64(32 * (bit % 2))
    for view, rounding in enumerate(ROUNDINGS, start=1):
        for block, hashes in cases.field_hashes(rounding):
            views[block, view] = hashes.sum(axis=0, dtype=np.uint64)
    return views


def observed(views: np.ndarray) -> np.ndarray:
    """The hashes of the observations as they are, uint64 `[N]`."""
    return views[:, 0]


def rounded(views: np.ndarray, rounding: float) -> np.ndarray:
    """The hashes of the observations rounded to one of `ROUNDINGS`, uint64 `[N]`."""
    return views[:, 1 + ROUNDINGS.index(rounding)]


def equal_but_for_one_field(cases: np.ndarray, others: np.ndarray, n_fields: int) -> np.ndarray:
    """Whether each case has another that it equals in all fields, or in all except one; bool `[N]`.

    Two that differ in two fields are taken for such a pair with probability 2**-32. With a single field there is
    nothing left to compare, so the answer is no.

    Args:
        cases: `[N, V]` views of cases with F fields.
        others: `[M, V]` views of other cases with the same fields.
        n_fields: F.
    """
    found = np.zeros(len(cases), bool)
    if n_fields < 2 or not len(others):
        return found
    halves, other_halves = (_halves(views, _bit_count(n_fields)) for views in (cases, others))
    # a pair agrees in one half for every bit; most cases of other data agree in none
    possible = np.flatnonzero(_agree_in_a_half(halves, other_halves))
    halves = halves[:, :, possible]
    other_halves = other_halves[:, :, _agree_in_a_half(other_halves, halves)]
    for index in range(n_fields):
        remaining = np.flatnonzero(~found[possible])
        if not len(remaining):
            break
        without = _without_field(halves[:, :, remaining], index)
        found[possible[remaining[contains(_without_field(other_halves, index), without)]]] = True
    return found


def _halves(views: np.ndarray, bits: int) -> np.ndarray:
    """The hashes of the fields whose number has a bit set, and of those without it, uint32 `[B, 2, N]`."""
    total = (views[:, 0] & _LOW).astype(np.uint32)
    halves = np.empty((bits, 2, len(views)), np.uint32)
    for bit in range(bits):
        word = views[:, _GROUPS_FROM + bit // 2] >> np.uint64(32 * (bit % 2))
        halves[bit, 1] = (word & _LOW).astype(np.uint32)
        halves[bit, 0] = total - halves[bit, 1]
    return halves


def _agree_in_a_half(halves: np.ndarray, others: np.ndarray) -> np.ndarray:
    agree = np.ones(halves.shape[2], bool)
    for half, other in zip(halves, others, strict=True):
        agree &= contains(other[0], half[0]) | contains(other[1], half[1])
    return agree


def _without_field(halves: np.ndarray, index: int) -> np.ndarray:
    """A hash of all fields except one, uint64 `[N]`: of the halves that do not hold it, by multilinear hashing."""
    total = np.zeros(halves.shape[2], np.uint64)
    for bit, pair in enumerate(halves):
        total += pair[1 - (index >> bit & 1)].astype(np.uint64) * (mix64(np.uint64(bit)) | np.uint64(1))
    return total


def contains(values: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Whether each of `wanted` `[N]` is among `values` `[M]`, bool `[N]`."""
    if not len(values):
        return np.zeros(len(wanted), bool)
    ordered = np.sort(values)
    place = np.searchsorted(ordered, wanted)
    place[place == len(ordered)] = 0
    return np.asarray(ordered[place] == wanted)
