"""What a run has seen, as fingerprints: `seen.npz`, written by training and read by the held-out guard.

An environment over a finite set of cases (`case_hashes`) has seen the cases of its training and selection
parts. Any other has seen the episodes it played, which their first observations stand for.

Two fingerprints of 64 bits a case or first observation: `exact` (every field equal) and `near` (every column
of the observation equal to ten significant bits, about three digits). Among 5 million seen and 25,000 held out,
two different ones share a fingerprint with probability 7e-9.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv, VectorWrapper

from rl_eval import domains
from rl_eval.domains import EnvConfig
from rl_eval.errors import InputError
from rl_eval.hashing import hash_columns
from rl_eval.run import write_bytes
from rl_eval.seeding import part_key

FILE = "seen.npz"
SCHEMA = 1
# Distinct cases or starts a part that are kept (20 bytes each); the others are counted, and the guard says so.
MAX_ENTRIES = 5_000_000
NEAR_BITS = 10
_BLOCK = 4096  # rows hashed at once: the hash loops over columns in Python
_MAX_BYTES = 2 * MAX_ENTRIES * 20 + (16 << 20)  # both parts, and room for the seeds

_MEMBERS = {
    "schema": "<i8",
    "cases": "|b1",
    "left_out": "<i8",
    "train": "<u8",
    "train_near": "<u8",
    "train_times": "<u4",
    "select": "<u8",
    "select_near": "<u8",
    "select_times": "<u4",
    "train_seeds": "<i8",
    "select_seeds": "<i8",
}
# NumPy's own reader would let a forged header reach Python's tokenizer, and allocate what it claims.
_HEADER = re.compile(rb"\{'descr': '([!-&(-~]{1,9})', 'fortran_order': False, 'shape': \((\d{1,18}),\), \} *\n")


# --- fingerprints ----------------------------------------------------------------------------------


def hash_rows(rows: np.ndarray) -> np.ndarray:
    """A 64-bit hash of each row `[N, ...]` of numbers, uint64 `[N]`; equal numbers hash alike in any dtype.

    -0.0 equals 0.0.
    """
    flat = np.asarray(rows, np.float64).reshape(len(rows), -1) + 0.0
    return hash_columns(np.ascontiguousarray(flat.T), len(flat), start=flat.shape[1] + 1)


def rounded(rows: np.ndarray, bits: int = NEAR_BITS) -> np.ndarray:
    """Numbers rounded to so many significant bits, ties to even; float64, exact on every machine."""
    mantissa, exponent = np.frexp(np.asarray(rows, np.float64))
    return np.ldexp(np.rint(np.ldexp(mantissa, bits)), exponent - bits)


def of_observations(obs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`exact` and `near` of observations `[N, ...]`, each uint64 `[N]`, in their order."""
    exact, near = np.empty(len(obs), np.uint64), np.empty(len(obs), np.uint64)
    for first in range(0, len(obs), _BLOCK):
        part = slice(first, first + _BLOCK)
        exact[part], near[part] = hash_rows(obs[part]), hash_rows(rounded(obs[part]))
    return exact, near


def has_cases(env: EnvConfig) -> bool:
    """Whether the environment's data is a finite set of cases rather than episodes without end."""
    return domains.domain(env.name).has_cases


def of_cases(env: EnvConfig, part: domains.Part) -> tuple[np.ndarray, np.ndarray]:
    """`exact` (of the raw fields) and `near` (of the observations) of a part's cases, each uint64 `[R]`."""
    domain = domains.domain(env.name)
    exact = np.asarray(domain.case_hashes(env, part), np.uint64)
    return exact, of_observations(domain.case_observations(env, part))[1]


@dataclass(frozen=True)
class Fingerprints:
    """U distinct cases or first observations.

    Attributes:
        exact: `[U]` uint64, sorted.
        near: `[U]` uint64, of the same ones.
        times: `[U]` uint32, how often each was seen.
    """

    exact: np.ndarray = field(repr=False)
    near: np.ndarray = field(repr=False)
    times: np.ndarray = field(repr=False)

    def __len__(self) -> int:
        return len(self.exact)

    @classmethod
    def of(cls, exact: np.ndarray, near: np.ndarray, times: np.ndarray | None = None) -> Fingerprints:
        """From `[N]` that may repeat; each with how often it was seen, by default once."""
        weights = np.ones(len(exact), np.int64) if times is None else times.astype(np.int64)
        distinct, first, place = np.unique(exact, return_index=True, return_inverse=True)
        counts = np.zeros(len(distinct), np.int64)
        np.add.at(counts, place, weights)
        return cls(distinct, near[first], np.minimum(counts, 2**32 - 1).astype(np.uint32))

    def first(self, count: int) -> Fingerprints:
        """At most so many of them."""
        return Fingerprints(self.exact[:count], self.near[:count], self.times[:count])

    def with_more(self, other: Fingerprints) -> Fingerprints:
        """Both together."""
        pairs = [(getattr(self, name), getattr(other, name)) for name in ("exact", "near", "times")]
        return Fingerprints.of(*(np.concatenate(pair) for pair in pairs))


def nothing() -> Fingerprints:
    """No fingerprint."""
    return Fingerprints(np.empty(0, np.uint64), np.empty(0, np.uint64), np.empty(0, np.uint32))


# --- while training --------------------------------------------------------------------------------


class Recorder:
    """Collects first observations; draws no random number, and changes nothing that it is shown."""

    def __init__(self, limit: int = MAX_ENTRIES):
        self._limit = limit
        self._known = nothing()
        self._left_out = 0
        self._rows: list[np.ndarray] = []
        self._row_count = 0
        self._hashed: list[tuple[np.ndarray, np.ndarray]] = []
        self._hashed_count = 0

    @property
    def left_out(self) -> int:
        """How many first observations are not among `fingerprints`, for want of room or of a record."""
        self._merge()
        return self._left_out

    def add(self, obs: np.ndarray) -> None:
        """Take K first observations `[K, ...]`; the array is kept, so it must not change afterwards."""
        self._rows.append(obs)
        self._row_count += len(obs)
        if self._row_count >= _BLOCK:
            self._hash()
            # merged only when there is as much new as half of what is known, so the whole stays linear
            if self._hashed_count >= max(16 * _BLOCK, len(self._known) // 2):
                self._merge()

    def _hash(self) -> None:
        if self._rows:
            self._hashed.append(of_observations(np.concatenate(self._rows)))
            self._hashed_count += self._row_count
            self._rows, self._row_count = [], 0

    def _merge(self) -> None:
        self._hash()
        if not self._hashed:
            return
        exact, near = (np.concatenate(parts) for parts in zip(*self._hashed, strict=True))
        self._hashed, self._hashed_count = [], 0
        fresh = Fingerprints.of(exact, near)
        new = np.flatnonzero(~np.isin(fresh.exact, self._known.exact, assume_unique=True))
        without = new[max(self._limit - len(self._known), 0) :]
        if len(without):
            self._left_out += int(fresh.times[without].sum())
            kept = np.ones(len(fresh), bool)
            kept[without] = False
            fresh = Fingerprints(fresh.exact[kept], fresh.near[kept], fresh.times[kept])
        self._known = self._known.with_more(fresh)

    def fingerprints(self) -> Fingerprints:
        """Everything taken so far."""
        self._merge()
        return self._known

    def state(self) -> dict[str, np.ndarray]:
        """For a resume point."""
        self._merge()
        left_out = np.array([self._left_out], np.int64)
        return {**vars(self._known), "left_out": left_out}

    def load_state(self, state: Mapping[str, np.ndarray], episodes: int) -> None:
        """Go on from what `state` gave.

        Args:
            state: empty where the resume point was written before there was a record.
            episodes: begun before that point, which such a resume point cannot tell of.
        """
        self._rows, self._row_count, self._hashed, self._hashed_count = [], 0, [], 0
        if not state:
            self._known, self._left_out = nothing(), episodes
            return
        self._known = Fingerprints(*(np.array(state[name]) for name in ("exact", "near", "times")))
        self._left_out = int(state["left_out"][0])


class Watched(VectorWrapper):
    """Shows a recorder the first observation of every episode of a vector environment that resets on its own."""

    def __init__(self, env: VectorEnv, recorder: Recorder):
        super().__init__(env)
        self.recorder = recorder
        self._next_step = env.metadata.get("autoreset_mode") == AutoresetMode.NEXT_STEP
        self._ended = np.zeros(env.num_envs, bool)  # in the last step

    def reset(self, *, seed=None, options=None):
        """Start every copy."""
        obs, infos = self.env.reset(seed=seed, options=options)
        self.recorder.add(np.array(obs))
        self._ended = np.zeros(self.num_envs, bool)
        return obs, infos

    def step(self, actions):
        """One step; where an episode ended, in this step or the one before it, the next one begins."""
        result = self.env.step(actions)
        done = result[2] | result[3]
        begins = self._ended if self._next_step else done
        self._ended = done
        if begins.any():
            self.recorder.add(result[0][begins])  # a mask copies
        return result


# --- the file --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Seen:
    """What training and selection have seen.

    Attributes:
        cases: whether fingerprints are of cases; else of first observations.
        train, validation: the fingerprints.
        train_seeds, validation_seeds: int64, of the environments' own generators and of the selection episodes.
        left_out: cases, or first observations of training, that are not recorded.
    """

    cases: bool
    train: Fingerprints
    validation: Fingerprints
    train_seeds: np.ndarray = field(repr=False)
    validation_seeds: np.ndarray = field(repr=False)
    left_out: int = 0

    @classmethod
    def of_data(cls, env: EnvConfig, train_seeds: np.ndarray) -> Seen:
        """Of an environment with cases: all of its training and validation part."""
        train, validation = (Fingerprints.of(*of_cases(env, part)) for part in ("train", "validation"))
        left_out = sum(max(len(part) - MAX_ENTRIES, 0) for part in (train, validation))
        no_seeds = np.empty(0, np.int64)  # selection walks through its cases
        return cls(True, train.first(MAX_ENTRIES), validation.first(MAX_ENTRIES), train_seeds, no_seeds, left_out)


def write(directory: Path, seen: Seen) -> None:
    """Write `seen.npz` into a run directory, atomically; the same content gives the same bytes."""
    arrays = {
        "schema": [SCHEMA],
        "cases": [seen.cases],
        "left_out": [seen.left_out],
        "train_seeds": seen.train_seeds,
        "select_seeds": seen.validation_seeds,
    }
    for part in ("train", "validation"):
        prints: Fingerprints = getattr(seen, part)
        name = part_key(part)
        arrays |= {name: prints.exact, f"{name}_near": prints.near, f"{name}_times": prints.times}
    typed: dict[str, Any] = {name: np.asarray(arrays[name], dtype) for name, dtype in _MEMBERS.items()}
    content = io.BytesIO()
    np.savez(content, **typed)
    write_bytes(directory / FILE, content.getbuffer())


def read(directory: Path) -> Seen | None:
    """What a run has seen; None where it has no `seen.npz`. Nothing that the file says is trusted unchecked.

    Raises:
        InputError: truncated, altered, too large or not ours.
    """
    path = directory / FILE
    if not path.exists() and not path.is_symlink():
        return None
    if path.is_symlink() or not path.is_file():
        raise InputError(f"{path} is not a plain file, so it is not the record of a run: train again")
    try:
        arrays = _arrays(path)
    except (OSError, ValueError, EOFError, RuntimeError, MemoryError, zipfile.BadZipFile) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{path} cannot be read ({reason[:200]}): it is damaged or not ours; train again") from error
    prints = {}
    for part in ("train", "validation"):
        name = part_key(part)
        columns = [arrays[name], arrays[f"{name}_near"], arrays[f"{name}_times"]]
        if len({len(column) for column in columns}) > 1:
            raise InputError(f"{path} has fingerprints of different counts in {part}: it is damaged; train again")
        prints[part] = Fingerprints(*columns)
    return Seen(
        cases=bool(arrays["cases"][0]),
        train=prints["train"],
        validation=prints["validation"],
        train_seeds=arrays["train_seeds"],
        validation_seeds=arrays["select_seeds"],
        left_out=int(arrays["left_out"][0]),
    )


def _arrays(path: Path) -> dict[str, np.ndarray]:
    if path.stat().st_size > _MAX_BYTES:
        raise ValueError(f"it is larger than {_MAX_BYTES >> 20} MiB")
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        names = [member.filename.removesuffix(".npy") for member in members]
        if sorted(names) != sorted(_MEMBERS):
            raise ValueError(f"it holds {len(names)} arrays where it should hold {', '.join(_MEMBERS)}")
        for member in members:
            # np.savez never compresses: a compressed member could unpack to anything
            if member.compress_type != zipfile.ZIP_STORED or member.file_size > path.stat().st_size:
                raise ValueError(f"{member.filename} is compressed")
        payloads = [archive.read(member) for member in members]
    arrays = {name: _array(name, payload, _MEMBERS[name]) for name, payload in zip(names, payloads, strict=True)}
    if int(arrays["schema"][0]) != SCHEMA:
        raise ValueError(f"it has schema {int(arrays['schema'][0])}, not {SCHEMA}")
    return arrays


def _array(name: str, payload: bytes, dtype: str) -> np.ndarray:
    """A one-dimensional array of one dtype, whose header is to the letter what NumPy writes for it."""
    start = 10 + int.from_bytes(payload[8:10], "little")
    header = _HEADER.fullmatch(payload[10:start])
    if payload[:8] != b"\x93NUMPY\x01\x00" or header is None:
        raise ValueError(f"{name} is not a plain one-dimensional array")
    if header[1].decode() != dtype:
        raise ValueError(f"{name} holds {header[1].decode()} where {dtype} is expected")
    count, body = int(header[2]), payload[start:]
    if count * np.dtype(dtype).itemsize != len(body):
        raise ValueError(f"{name} claims {count} values and holds {len(body)} bytes")
    if name in ("schema", "cases", "left_out") and count != 1:
        raise ValueError(f"{name} holds {count} values where one is expected")
    return np.frombuffer(body, dtype)
