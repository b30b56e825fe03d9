"""The safetensors format, without a copy of the arrays.

An array may be as large as memory allows, such as a replay buffer: it is written in place, and read from a
memory-mapped file. The bytes are those of the `safetensors` library
(https://github.com/huggingface/safetensors#format), which cannot write from or read into memory views.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterator, Mapping
from mmap import mmap
from operator import index
from typing import BinaryIO

import numpy as np

# From the end of a file to its start, so that each array starts at a multiple of its item size.
DTYPES = {
    "BOOL": "?", "U8": "u1", "I8": "i1", "I16": "<i2", "U16": "<u2", "F16": "<f2", "I32": "<i4", "U32": "<u4",
    "F32": "<f4", "C64": "<c8", "F64": "<f8", "I64": "<i8", "U64": "<u8",
}  # fmt: skip
_NAMES = {np.dtype(code): name for name, code in DTYPES.items()}
_RANK = {name: rank for rank, name in enumerate(DTYPES)}
MAX_HEADER_BYTES = 16 << 20


def file_parts(arrays: Mapping[str, np.ndarray]) -> Iterator[bytes | memoryview]:
    """The bytes of a file: its header, then views of the arrays.

    Only arrays that are not contiguous, or not little-endian, are copied.

    Raises:
        ValueError: the format has no such dtype.
    """
    contiguous = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    contiguous = {name: array.astype(array.dtype.newbyteorder("<"), copy=False) for name, array in contiguous.items()}
    dtype_names = {}
    for name, array in contiguous.items():
        if array.dtype not in _NAMES:
            raise ValueError(f"safetensors cannot hold {name}, an array of {array.dtype}")
        dtype_names[name] = _NAMES[array.dtype]
    order = sorted(contiguous, key=lambda name: (-_RANK[dtype_names[name]], name))
    header, end = {}, 0
    for name in order:
        begin, end = end, end + contiguous[name].nbytes
        header[name] = {"dtype": dtype_names[name], "shape": contiguous[name].shape, "data_offsets": (begin, end)}
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    yield len(text).to_bytes(8, "little") + text
    for name in order:
        yield contiguous[name].reshape(-1).view(np.uint8).data


def array_views(content: bytes | bytearray | mmap) -> dict[str, np.ndarray]:
    """The arrays of a file, as views of its content.

    Raises:
        ValueError: the content is not safetensors.
    """
    start = _header_end(content[:8], len(content))
    places = _places(content[8:start], len(content) - start)
    return {name: np.ndarray(shape, dtype, content, start + begin) for name, (dtype, shape, begin, _) in places.items()}


def read_selected(file: BinaryIO, size: int, names: Collection[str], max_bytes: int) -> dict[str, np.ndarray]:
    """Those of the named arrays that a file of `size` bytes has; others are not read.

    Raises:
        ValueError: the file is not safetensors, or the arrays take more than `max_bytes`.
    """
    start = _header_end(file.read(8), size)
    places = _places(file.read(start - 8), size - start)
    selected = {name: place for name, place in places.items() if name in names}
    if sum(end - begin for _, _, begin, end in selected.values()) > max_bytes:
        raise ValueError(f"{', '.join(sorted(selected))} are larger than {max_bytes:,} bytes")
    arrays = {}
    for name, (dtype, shape, begin, end) in selected.items():
        file.seek(start + begin)
        arrays[name] = np.frombuffer(file.read(end - begin), dtype).reshape(shape)
    return arrays


def _header_end(first: bytes | bytearray, size: int) -> int:
    """Where the header of a file of `size` bytes ends, from its first 8 bytes."""
    start = 8 + int.from_bytes(first, "little")
    if len(first) < 8 or start - 8 > MAX_HEADER_BYTES or start > size:
        raise ValueError("it has no header")
    return start


def _places(header: bytes | bytearray, size: int) -> dict[str, tuple[np.dtype, tuple[int, ...], int, int]]:
    """Dtype and shape of each array, and where it begins and ends in the `size` bytes after the header."""
    try:
        entries = json.loads(header)
        entries.pop("__metadata__", None)
        places = {}
        for name, entry in entries.items():
            dtype, shape = np.dtype(DTYPES[entry["dtype"]]), tuple(map(index, entry["shape"]))
            begin, end = map(index, entry["data_offsets"])
            if any(not 0 <= length < 1 << 63 for length in shape):
                raise ValueError(f"{name!r} has shape {shape}")
            if end - begin != math.prod(shape) * dtype.itemsize or not 0 <= begin <= end <= size:
                raise ValueError(f"{name!r} is outside the file")
            places[name] = (dtype, shape, begin, end)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ValueError(f"its header is wrong: {type(error).__name__}: {error}") from error
    return places
