"""The bytes of a file or stream, unpacked where they are gzip; other binary formats are refused by name."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from rl_eval.domains.threat.formats.limits import check_bytes
from rl_eval.errors import InputError
from rl_eval.untrusted_files import only_regular

PARQUET = b"PAR1"
LEAST_BYTES = 1 << 18  # of a block, so that a slow stream is not read by the line
_GZIP = b"\x1f\x8b"
_REFUSED = {
    b"PK\x03\x04": "a zip archive or an Excel workbook: unpack it, or save the sheet as CSV",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook: save the sheet as CSV",
    b"\x28\xb5\x2f\xfd": "packed with zstd: unpack it",
    b"\xfd7zX": "packed with xz: unpack it",
    b"BZh": "packed with bzip2: unpack it",
    b"7z\xbc\xaf": "a 7z archive: unpack it",
    b"\xd4\xc3\xb2\xa1": "a packet capture: make flows of it, for example with Zeek",
    b"\xa1\xb2\xc3\xd4": "a packet capture: make flows of it, for example with Zeek",
    b"\x0a\x0d\x0d\x0a": "a packet capture: make flows of it, for example with Zeek",
}


class ByteSource:
    """Bytes that are read once, in blocks.

    Attributes:
        path: how messages name it.
        packing: `gzip`, or empty.
        is_parquet: whether it begins as Parquet does, which is only read from a file.
    """

    def __init__(self, path: Path, stream: BinaryIO, limit: int | None):
        head = stream.read(4) or b""
        self.path, self._limit, self._size = path, limit, 0
        self.packing = "gzip" if head.startswith(_GZIP) else ""
        self.is_parquet = head == PARQUET
        whole = io.BufferedReader(_AfterHead(head, stream))  # type: ignore[type-var]
        self._stream: BinaryIO = gzip.GzipFile(fileobj=whole) if self.packing else whole  # type: ignore[assignment]
        for magic, what in _REFUSED.items():
            if head.startswith(magic):
                raise InputError(f"{path} is {what}")

    def read(self, count: int) -> bytes:
        """At most `count` bytes, of a stream those that have come if they are enough for a block; none at the end.

        Raises:
            InputError: damaged, or larger than the limit.
        """
        try:
            block = self._stream.read1(count)  # type: ignore[attr-defined]
            while len(block) < min(count, LEAST_BYTES) and (more := self._stream.read1(count)):  # type: ignore[attr-defined]
                block += more
        except EOFError as error:
            raise InputError(f"{self.path} cannot be read as gzip (it is cut off): get it again") from error
        except (gzip.BadGzipFile, zlib.error, OSError) as error:
            what = "gzip" if self.packing else "a file"
            raise InputError(f"{self.path} cannot be read as {what} ({error}): get it again") from error
        self._size += len(block)
        check_bytes(self.path, self._size, self._limit, unpacked=True)
        return block


@contextmanager
def open_bytes(source: Path | BinaryIO, limit: int | None) -> Iterator[ByteSource]:
    """The bytes of a regular file, or of a stream that is called stdin.

    Args:
        limit: bytes that are read at most, unpacked; None: any number.

    Raises:
        InputError: it cannot be opened, is a format that is not read, or is larger than the limit.
    """
    if not isinstance(source, Path):
        yield ByteSource(Path("stdin"), source, limit)
        return
    try:
        file = open(source, "rb", opener=only_regular)  # noqa: SIM115 - closed below; errors of reading are not its own
    except OSError as error:
        raise InputError(f"{source} cannot be read ({error.strerror}): name a file of flows") from error
    with file:
        yield ByteSource(source, file, limit)


class _AfterHead(io.RawIOBase):
    """A stream from its beginning, after its first bytes have been read."""

    def __init__(self, head: bytes, rest: BinaryIO):
        self._head, self._rest = head, rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
        block = self._head[: len(buffer)]
        self._head = self._head[len(block) :]
        block = block or getattr(self._rest, "read1", self._rest.read)(len(buffer)) or b""
        buffer[: len(block)] = block
        return len(block)
