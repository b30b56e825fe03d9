"""`seen.npz`: what a run was trained and validated on, written by training and read by the held-out guard."""

from __future__ import annotations

import io
import re
import zipfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from rl_eval.domains import EnvConfig
from rl_eval.errors import InputError, failure
from rl_eval.exposure.fingerprints import Fingerprints, fingerprint_cases
from rl_eval.exposure.first_observations import MAX_ENTRIES
from rl_eval.run import Run, read_recorded, write_bytes
from rl_eval.seeding import part_key
from rl_eval.untrusted_files import read_bounded

FILE = "seen.npz"
SCHEMA = 2
MAX_VIEW_WORDS = 25_000_000  # of a part: 3 million cases of 64 fields
_MAX_BYTES = 2 * (MAX_ENTRIES * 12 + MAX_VIEW_WORDS * 8) + (16 << 20)  # both parts, and room for the seeds

_MEMBERS = {
    "schema": "<i8",
    "cases": "|b1",
    "left_out": "<i8",
    "train": "<u8",
    "train_views": "<u8",
    "train_times": "<u4",
    "select": "<u8",
    "select_views": "<u8",
    "select_times": "<u4",
    "train_seeds": "<i8",
    "select_seeds": "<i8",
}
# NumPy's own reader would let a forged header reach Python's tokenizer, and allocate what it claims.
_HEADER = re.compile(rb"\{'descr': '([!-&(-~]{1,9})', 'fortran_order': False, 'shape': \((\d{1,18}),\), \} *\n")


@dataclass(frozen=True)
class Exposure:
    """The cases, episodes and seeds that training and validation used.

    Attributes:
        cases: whether fingerprints are of cases; else of first observations.
        train, validation: the fingerprints.
        train_seeds, validation_seeds: int64, of the environments' own generators and of the validation episodes.
        unrecorded: cases, or first observations of training, that are not among the fingerprints.
    """

    cases: bool
    train: Fingerprints
    validation: Fingerprints
    train_seeds: np.ndarray = field(repr=False)
    validation_seeds: np.ndarray = field(repr=False)
    unrecorded: int = 0

    @classmethod
    def of_cases(cls, env: EnvConfig, train_seeds: np.ndarray) -> Exposure:
        """The exposure of an environment with cases: all cases of its training and validation part."""
        train, validation = (
            Fingerprints.from_hashes(*fingerprint_cases(env, part)) for part in ("train", "validation")
        )
        no_seeds = np.empty(0, np.int64)  # validation goes through its cases
        return cls(True, train, validation, train_seeds, no_seeds)._limited()

    def has_views(self, count: int) -> bool:
        """Whether every unit has so many further hashes, as `view_width` says for an environment."""
        return all(not len(part) or part.views.shape[1] == count for part in (self.train, self.validation))

    def union(self, other: Exposure) -> Exposure:
        """The union of two exposures; both are of cases, or both of first observations."""
        return Exposure(
            self.cases,
            self.train.merge(other.train),
            self.validation.merge(other.validation),
            np.union1d(self.train_seeds, other.train_seeds),
            np.union1d(self.validation_seeds, other.validation_seeds),
            self.unrecorded + other.unrecorded,
        )._limited()

    @property
    def is_full(self) -> bool:
        """Whether a part has as many fingerprints as `seen.npz` may hold, so that others can be missing."""
        return max(len(self.train), len(self.validation)) >= self._limit

    @property
    def _limit(self) -> int:
        return min(MAX_ENTRIES, MAX_VIEW_WORDS // max(self.train.views.shape[1], self.validation.views.shape[1], 1))

    def _limited(self) -> Exposure:
        """At most so much as `seen.npz` may hold; what is left out is counted."""
        limit = self._limit
        return replace(
            self,
            train=self.train.first(limit),
            validation=self.validation.first(limit),
            unrecorded=self.unrecorded + sum(int(part.counts[limit:].sum()) for part in (self.train, self.validation)),
        )


def write_exposure(directory: Path, exposure: Exposure) -> None:
    """Write `seen.npz` into a run directory, atomically; the same content gives the same bytes."""
    arrays = {
        "schema": [SCHEMA],
        "cases": [exposure.cases],
        "left_out": [exposure.unrecorded],
        "train_seeds": exposure.train_seeds,
        "select_seeds": exposure.validation_seeds,
    }
    for part in ("train", "validation"):
        fingerprints: Fingerprints = getattr(exposure, part)
        name = part_key(part)
        arrays |= {
            name: fingerprints.exact,
            f"{name}_views": fingerprints.views.ravel(),
            f"{name}_times": fingerprints.counts,
        }
    typed: dict[str, Any] = {name: np.asarray(arrays[name], dtype) for name, dtype in _MEMBERS.items()}
    content = io.BytesIO()
    np.savez(content, **typed)
    write_bytes(directory / FILE, content.getbuffer())


def read_exposure_of(run: Run) -> Exposure | None:
    """What a run was trained and validated on, as its training wrote it; None without a `seen.npz`.

    Raises:
        InputError: not the file that training wrote, or as `read_exposure`.
    """
    content = read_recorded(run, FILE, _MAX_BYTES)
    return None if content is None else _exposure(content, run.path / FILE)


def read_exposure(directory: Path) -> Exposure | None:
    """The `seen.npz` in a folder; None if there is none. Nothing in the file is trusted unchecked.

    Raises:
        InputError: truncated, altered, too large or not ours.
    """
    path = directory / FILE
    if not path.exists() and not path.is_symlink():
        return None
    if path.is_symlink() or not path.is_file():
        raise InputError(f"{path} is not a plain file: train again")
    try:
        content = read_bounded(path, _MAX_BYTES)
    except (OSError, OverflowError) as error:
        reason = failure(error) if isinstance(error, OSError) else str(error)
        raise InputError(
            f"{path} cannot be read ({reason}): it is damaged or from another program; train again"
        ) from error
    return _exposure(content, path)


def _exposure(content: bytes, path: Path) -> Exposure:
    try:
        arrays = _arrays(content)
    except (OSError, ValueError, EOFError, RuntimeError, MemoryError, zipfile.BadZipFile) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(
            f"{path} cannot be read ({reason[:200]}): it is damaged or from another program; train again"
        ) from error
    fingerprints = {}
    for part in ("train", "validation"):
        name = part_key(part)
        exact, views, counts = arrays[name], arrays[f"{name}_views"], arrays[f"{name}_times"]
        width, rest = divmod(len(views), len(exact)) if len(exact) else (0, len(views))
        if rest or len(counts) != len(exact):
            raise InputError(f"{path} has fingerprints of different counts in {part}: it is damaged; train again")
        fingerprints[part] = Fingerprints(exact, views.reshape(len(exact), width), counts)
    return Exposure(
        cases=bool(arrays["cases"][0]),
        train=fingerprints["train"],
        validation=fingerprints["validation"],
        train_seeds=arrays["train_seeds"],
        validation_seeds=arrays["select_seeds"],
        unrecorded=int(arrays["left_out"][0]),
    )


def _arrays(content: bytes) -> dict[str, np.ndarray]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = archive.infolist()
        names = [member.filename.removesuffix(".npy") for member in members]
        if sorted(names) != sorted(_MEMBERS):
            raise ValueError(f"it has {len(names)} arrays instead of {', '.join(_MEMBERS)}")
        for member in members:
            # np.savez never compresses: a compressed member could unpack to anything
            if member.compress_type != zipfile.ZIP_STORED or member.file_size > len(content):
                raise ValueError(f"{member.filename} is compressed")
        payloads = [archive.read(member) for member in members]
    arrays = {name: _array(name, payload, _MEMBERS[name]) for name, payload in zip(names, payloads, strict=True)}
    if int(arrays["schema"][0]) != SCHEMA:
        raise ValueError(f"it has schema {int(arrays['schema'][0])}, not {SCHEMA}")
    return arrays


def _array(name: str, payload: bytes, dtype: str) -> np.ndarray:
    """A one-dimensional array of one dtype, whose header is exactly what NumPy writes."""
    start = 10 + int.from_bytes(payload[8:10], "little")
    header = _HEADER.fullmatch(payload[10:start])
    if payload[:8] != b"\x93NUMPY\x01\x00" or header is None:
        raise ValueError(f"{name} is not a plain one-dimensional array")
    if header[1].decode() != dtype:
        raise ValueError(f"{name} has the type {header[1].decode()} instead of {dtype}")
    count, body = int(header[2]), payload[start:]
    if count * np.dtype(dtype).itemsize != len(body):
        raise ValueError(f"{name} should have {count} values and has {len(body)} bytes")
    if name in ("schema", "cases", "left_out") and count != 1:
        raise ValueError(f"{name} has {count} values instead of one")
    return np.frombuffer(body, dtype)
