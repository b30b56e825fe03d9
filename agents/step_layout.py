"""Steps of N environment copies as bytes, and back: what one process sends to others to learn from.

Both sides know the shapes, so the bytes need no description: reading them runs no code and takes no more
memory than they do.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_HEADER = struct.Struct("<4sIIIII")  # the format, copies, numbers of an observation, actions of a mask, begins, steps
_FORMAT = b"rlx1"


@dataclass(frozen=True)
class CopiesStep:
    """One step of every copy: the arguments of `ReplayBuffer.add`, for environments with vectors and whole actions."""

    obs: np.ndarray  # [N, D]
    actions: np.ndarray  # [N]
    rewards: np.ndarray  # [N]
    terminated: np.ndarray  # [N]
    truncated: np.ndarray  # [N]
    final_obs: np.ndarray | None  # [N, D]
    valid: np.ndarray | None  # [N]
    mask: np.ndarray | None  # [N, A]
    final_mask: np.ndarray | None  # [N, A]


@dataclass(frozen=True)
class StepLayout:
    """How steps are stored in bytes, for N copies, observations of D numbers and masks of A actions."""

    copies: int
    obs_size: int
    actions: int

    @property
    def _fields(self) -> dict[str, tuple[np.dtype, tuple[int, ...]]]:
        number, whole, flag = np.dtype("<f4"), np.dtype("<i8"), np.dtype(bool)
        obs, row, mask = (self.copies, self.obs_size), (self.copies,), (self.copies, self.actions)
        return {
            "obs": (number, obs), "actions": (whole, row), "rewards": (number, row), "terminated": (flag, row),
            "truncated": (flag, row), "final_obs": (number, obs), "valid": (flag, row), "mask": (flag, mask),
            "final_mask": (flag, mask),
        }  # fmt: skip

    def pack(self, steps: Sequence[CopiesStep], *, begins: bool) -> bytes:
        """Steps in a row as bytes; `begins`: whether they continue none that were sent before."""
        parts = [_HEADER.pack(_FORMAT, self.copies, self.obs_size, self.actions, begins, len(steps))]
        for step in steps:
            present = [getattr(step, name) is not None for name in self._fields]
            parts.append(struct.pack("<H", sum(there << place for place, there in enumerate(present))))
            for name, (dtype, shape) in self._fields.items():
                if (array := getattr(step, name)) is not None:
                    parts.append(np.ascontiguousarray(array, dtype).reshape(shape).tobytes())
        return b"".join(parts)

    def unpack(self, data: bytes) -> tuple[list[CopiesStep], bool]:
        """The steps of `pack`, and whether they begin.

        Raises:
            ValueError: they are of other environments, or are damaged.
        """
        if len(data) < _HEADER.size or data[:4] != _FORMAT:
            raise ValueError("a message of another process has no steps: another program writes to the server")
        _, *sizes, begins, count = _HEADER.unpack_from(data)
        own = [self.copies, self.obs_size, self.actions]
        if sizes != own:
            raise ValueError(
                f"another process sends steps of {sizes[0]} copies with {sizes[1]} numbers per observation and "
                f"{sizes[2]} actions, and this one has {own[0]}, {own[1]} and {own[2]}: processes that train together "
                "have the same config except for their seed; give others a database of their own (redis://host:port/1)"
            )
        try:
            steps, offset = [], _HEADER.size
            for _ in range(count):
                (present,) = struct.unpack_from("<H", data, offset)
                offset += 2
                arrays: dict[str, np.ndarray | None] = {}
                for place, (name, (dtype, shape)) in enumerate(self._fields.items()):
                    arrays[name] = None
                    if present >> place & 1:
                        size = int(np.prod(shape))
                        arrays[name] = np.frombuffer(data, dtype, size, offset).reshape(shape)
                        offset += size * dtype.itemsize
                if any(arrays[name] is None for name in ("obs", "actions", "rewards", "terminated", "truncated")):
                    raise ValueError("a column is missing")
                steps.append(CopiesStep(**arrays))  # type: ignore[arg-type]
            if offset != len(data):
                raise ValueError("its length is wrong")
        except (ValueError, struct.error) as error:
            raise ValueError(f"a message of another process is damaged ({error}): start the processes again") from error
        return steps, bool(begins)
