"""The safetensors format, without a copy of the arrays.

An array may be as large as memory allows: a replay buffer is written from where it lies, and read where the system
maps its file. The bytes are those of the `safetensors` library (https://github.com/huggingface/safetensors#format),
which has no way to write from, and read to, views of memory.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterator, Mapping
from mmap import mmap
from operator import index
from typing import BinaryIO

import numpy as np

# In the order in which they lie in a file from its end, so that each starts at a multiple of its size.
DTYPES = {
    "BOOL": "?", "U8": "u1", "I8": "i1", "I16": "<i2", "U16": "<u2", "F16": "<f2", "I32": "<i4", "U32": "<u4",
    "F32": "<f4", "C64": "<c8", "F64": "<f8", "I64": "<i8", "U64": "<u8",
}  # fmt: skip
_NAMES = {np.dtype(code): name for name, code in DTYPES.items()}
_RANK = {name: rank for rank, name in enumerate(DTYPES)}
MAX_HEADER_BYTES = 16 << 20


def parts(arrays: Mapping[str, np.ndarray]) -> Iterator[bytes | memoryview]:
    """What a file holds, piece by piece: its header, then views of the arrays.

    Only an array that is not contiguous, or not little-endian, is copied.

    Raises:
        ValueError: the format does not know a type.
    """
    plain = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    plain = {name: array.astype(array.dtype.newbyteorder("<"), copy=False) for name, array in plain.items()}
    kinds = {}
    for name, array in plain.items():
        if array.dtype not in _NAMES:
            raise ValueError(f"safetensors cannot hold {name}, an array of {array.dtype}")
        kinds[name] = _NAMES[array.dtype]
    order = sorted(plain, key=lambda name: (-_RANK[kinds[name]], name))
    header, end = {}, 0
    for name in order:
        begin, end = end, end + plain[name].nbytes
        header[name] = {"dtype": kinds[name], "shape": plain[name].shape, "data_offsets": (begin, end)}
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    yield len(text).to_bytes(8, "little") + text
    for name in order:
        yield plain[name].reshape(-1).view(np.uint8).data


def views(content: bytes | bytearray | mmap) -> dict[str, np.ndarray]:
    """The arrays of a file, as views of its content.

    Raises:
        ValueError: it is not of this format.
    """
    start = _header_end(content[:8], len(content))
    places = _places(content[8:start], len(content) - start)
    return {name: np.ndarray(shape, dtype, content, start + begin) for name, (dtype, shape, begin, _) in places.items()}


def read_some(file: BinaryIO, size: int, names: Collection[str], most: int) -> dict[str, np.ndarray]:
    """Those arrays of these names that a file of `size` bytes has; the others are not read.

    Raises:
        ValueError: it is not of this format, or these take more than `most` bytes.
    """
    start = _header_end(file.read(8), size)
    places = _places(file.read(start - 8), size - start)
    wanted = {name: place for name, place in places.items() if name in names}
    if sum(end - begin for _, _, begin, end in wanted.values()) > most:
        raise ValueError(f"{', '.join(sorted(wanted))} are larger than {most:,} bytes")
    arrays = {}
    for name, (dtype, shape, begin, end) in wanted.items():
        file.seek(start + begin)
        arrays[name] = np.frombuffer(file.read(end - begin), dtype).reshape(shape)
    return arrays


def _header_end(first: bytes | bytearray, size: int) -> int:
    """Where the header of a file of `size` bytes ends, of which the first 8 are given."""
    start = 8 + int.from_bytes(first, "little")
    if len(first) < 8 or start - 8 > MAX_HEADER_BYTES or start > size:
        raise ValueError("it has no header")
    return start


def _places(header: bytes | bytearray, size: int) -> dict[str, tuple[np.dtype, tuple[int, ...], int, int]]:
    """Type and shape of each array, and where in the `size` bytes after the header it begins and ends."""
    try:
        given = json.loads(header)
        given.pop("__metadata__", None)
        places = {}
        for name, each in given.items():
            dtype, shape = np.dtype(DTYPES[each["dtype"]]), tuple(map(index, each["shape"]))
            begin, end = map(index, each["data_offsets"])
            if any(not 0 <= length < 1 << 63 for length in shape):
                raise ValueError(f"{name!r} has shape {shape}")
            if end - begin != math.prod(shape) * dtype.itemsize or not 0 <= begin <= end <= size:
                raise ValueError(f"{name!r} lies outside of it")
            places[name] = (dtype, shape, begin, end)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ValueError(f"its header is wrong: {type(error).__name__}: {error}") from error
    return places
