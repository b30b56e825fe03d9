"""Fingerprints of cases and observations: 64-bit hashes of rows of numbers, and sets of them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rl_eval import domains
from rl_eval.domains import EnvConfig
from rl_eval.exposure.observation_hashes import BLOCK_ROWS, CaseObservations, case_views, view_count
from rl_eval.hashing import hash_columns

NEAR_BITS = 10


def hash_rows(rows: np.ndarray) -> np.ndarray:
    """A 64-bit hash of each row `[N, ...]` of numbers, uint64 `[N]`; equal numbers hash alike in any dtype.

    -0.0 equals 0.0.
    """
    flat = np.asarray(rows, np.float64).reshape(len(rows), int(np.prod(rows.shape[1:]))) + 0.0
    return hash_columns(np.ascontiguousarray(flat.T), len(flat), start=flat.shape[1] + 1)


def _hash_value(value: Any) -> int:
    """A 64-bit hash of an array, a number, a text, or a dict, tuple or other sequence of these."""
    total = hashlib.blake2b(digest_size=8)
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, Mapping):
            total.update(repr(list(one)).encode())
            waiting += one.values()
        elif isinstance(one, tuple | list):
            total.update(f"{len(one)} values".encode())
            waiting += one
        elif isinstance(one, np.ndarray) and not one.dtype.hasobject:
            total.update(f"{one.shape}".encode() + (np.asarray(one, np.float64) + 0.0).tobytes())
        else:
            total.update(repr(one).encode(errors="surrogateescape"))
    return int.from_bytes(total.digest(), "little")


def round_to_bits(rows: np.ndarray, bits: int = NEAR_BITS) -> np.ndarray:
    """Numbers rounded to so many significant bits, ties to even; float64, exact on every machine."""
    mantissa, exponent = np.frexp(np.asarray(rows, np.float64))
    return np.ldexp(np.rint(np.ldexp(mantissa, bits)), exponent - bits)


def fingerprint_observations(obs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`exact`, uint64 `[N]`, and `views` (rounded), uint64 `[N, 1]`, of observations `[N, ...]`, in their order.

    Observations that are not flat, such as images and dicts, are not rounded: no training has seen them.
    """
    if obs.dtype.hasobject or obs.ndim > 2:
        exact = np.array([_hash_value(value) for value in obs], np.uint64)
        return exact, exact[:, None]
    exact, near = np.empty(len(obs), np.uint64), np.empty(len(obs), np.uint64)
    for first in range(0, len(obs), BLOCK_ROWS):
        block = slice(first, first + BLOCK_ROWS)
        exact[block], near[block] = hash_rows(obs[block]), hash_rows(round_to_bits(obs[block]))
    return exact, near[:, None]


def observations_of_cases(env: EnvConfig, part: domains.Part) -> CaseObservations:
    """What a policy decides a part's cases by; without columns where the cases of an episode are decided together.

    An observation of one of those says little: it may well repeat, since the decision rests on the others too.
    """
    domain = domains.domain(env.name)
    if domain.case_index is None:
        return CaseObservations(np.empty((len(domain.case_hashes(env, part)), 0)), ())
    rows = np.asarray(domain.case_observations(env, part))
    rows = rows.reshape(len(rows), int(np.prod(rows.shape[1:])))
    return CaseObservations(rows, domain.case_fields(env) or [f"column {i}" for i in range(rows.shape[1])])


def view_width(env: EnvConfig) -> int:
    """V, the further hashes of each case or first observation of an environment."""
    if not domains.domain(env.name).has_cases:
        return 1
    return view_count(len(observations_of_cases(env, "validation").field_names))


def fingerprint_cases(env: EnvConfig, part: domains.Part) -> tuple[np.ndarray, np.ndarray]:
    """`exact` (of the raw fields), uint64 `[R]`, and `views` (of the observations), uint64 `[R, V]`, of a part."""
    exact = np.asarray(domains.domain(env.name).case_hashes(env, part), np.uint64)
    return exact, case_views(observations_of_cases(env, part))


@dataclass(frozen=True)
class Fingerprints:
    """U distinct cases or first observations.

    Attributes:
        exact: `[U]` uint64, sorted.
        views: `[U, V]` uint64, further hashes of the same ones: of a case its `case_views`, none where cases are
            decided together; of a first observation one, rounded.
        counts: `[U]` uint32, how often each occurred.
    """

    exact: np.ndarray = field(repr=False)
    views: np.ndarray = field(repr=False)
    counts: np.ndarray = field(repr=False)

    def __len__(self) -> int:
        return len(self.exact)

    @classmethod
    def empty(cls) -> Fingerprints:
        """An empty set."""
        return cls(np.empty(0, np.uint64), np.empty((0, 0), np.uint64), np.empty(0, np.uint32))

    @classmethod
    def from_hashes(cls, exact: np.ndarray, views: np.ndarray, counts: np.ndarray | None = None) -> Fingerprints:
        """From `[N]` hashes that may repeat, and `[N, V]` further ones; each with how often it occurred, or once."""
        weights = np.ones(len(exact), np.int64) if counts is None else counts.astype(np.int64)
        distinct, first, place = np.unique(exact, return_index=True, return_inverse=True)
        sums = np.zeros(len(distinct), np.int64)
        np.add.at(sums, place, weights)
        return cls(distinct, views[first], np.minimum(sums, 2**32 - 1).astype(np.uint32))

    def first(self, count: int) -> Fingerprints:
        """At most so many of them."""
        return Fingerprints(self.exact[:count], self.views[:count], self.counts[:count])

    def merge(self, other: Fingerprints) -> Fingerprints:
        """Both together; they have the same V, or one of them is empty."""
        if not len(self) or not len(other):
            return self if len(self) else other
        pairs = [(getattr(self, name), getattr(other, name)) for name in ("exact", "views", "counts")]
        return Fingerprints.from_hashes(*(np.concatenate(pair) for pair in pairs))
