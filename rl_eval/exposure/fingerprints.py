"""Fingerprints of cases and observations: 64-bit hashes of rows of numbers, and sets of them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from rl_eval import domains
from rl_eval.domains import EnvConfig
from rl_eval.hashing import hash_columns

NEAR_BITS = 10
BLOCK_ROWS = 4096  # hashed at once: the hash loops over columns in Python


def hash_rows(rows: np.ndarray) -> np.ndarray:
    """A 64-bit hash of each row `[N, ...]` of numbers, uint64 `[N]`; equal numbers hash alike in any dtype.

    -0.0 equals 0.0.
    """
    flat = np.asarray(rows, np.float64).reshape(len(rows), -1) + 0.0
    return hash_columns(np.ascontiguousarray(flat.T), len(flat), start=flat.shape[1] + 1)


def round_to_bits(rows: np.ndarray, bits: int = NEAR_BITS) -> np.ndarray:
    """Numbers rounded to so many significant bits, ties to even; float64, exact on every machine."""
    mantissa, exponent = np.frexp(np.asarray(rows, np.float64))
    return np.ldexp(np.rint(np.ldexp(mantissa, bits)), exponent - bits)


def fingerprint_observations(obs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`exact` and `near` of observations `[N, ...]`, each uint64 `[N]`, in their order."""
    exact, near = np.empty(len(obs), np.uint64), np.empty(len(obs), np.uint64)
    for first in range(0, len(obs), BLOCK_ROWS):
        block = slice(first, first + BLOCK_ROWS)
        exact[block], near[block] = hash_rows(obs[block]), hash_rows(round_to_bits(obs[block]))
    return exact, near


def fingerprint_cases(env: EnvConfig, part: domains.Part) -> tuple[np.ndarray, np.ndarray]:
    """`exact` (of the raw fields) and `near` (of the observations) of a part's cases, each uint64 `[R]`."""
    domain = domains.domain(env.name)
    exact = np.asarray(domain.case_hashes(env, part), np.uint64)
    return exact, fingerprint_observations(domain.case_observations(env, part))[1]


@dataclass(frozen=True)
class Fingerprints:
    """U distinct cases or first observations.

    Attributes:
        exact: `[U]` uint64, sorted.
        near: `[U]` uint64, of the same ones.
        counts: `[U]` uint32, how often each occurred.
    """

    exact: np.ndarray = field(repr=False)
    near: np.ndarray = field(repr=False)
    counts: np.ndarray = field(repr=False)

    def __len__(self) -> int:
        return len(self.exact)

    @classmethod
    def empty(cls) -> Fingerprints:
        """An empty set."""
        return cls(np.empty(0, np.uint64), np.empty(0, np.uint64), np.empty(0, np.uint32))

    @classmethod
    def from_hashes(cls, exact: np.ndarray, near: np.ndarray, counts: np.ndarray | None = None) -> Fingerprints:
        """From `[N]` hashes that may repeat; each with how often it occurred, by default once."""
        weights = np.ones(len(exact), np.int64) if counts is None else counts.astype(np.int64)
        distinct, first, place = np.unique(exact, return_index=True, return_inverse=True)
        sums = np.zeros(len(distinct), np.int64)
        np.add.at(sums, place, weights)
        return cls(distinct, near[first], np.minimum(sums, 2**32 - 1).astype(np.uint32))

    def first(self, count: int) -> Fingerprints:
        """At most so many of them."""
        return Fingerprints(self.exact[:count], self.near[:count], self.counts[:count])

    def merge(self, other: Fingerprints) -> Fingerprints:
        """Both together."""
        pairs = [(getattr(self, name), getattr(other, name)) for name in ("exact", "near", "counts")]
        return Fingerprints.from_hashes(*(np.concatenate(pair) for pair in pairs))
