"""`TextBlocks`: the text of a source as UTF-8 in blocks of whole lines, from any encoding and line ends."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator

from rl_eval.domains.threat.formats.byte_source import ByteSource
from rl_eval.domains.threat.formats.limits import BLOCK_BYTES, MAX_RECORD_BYTES
from rl_eval.errors import InputError

_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1f]")
_MARKS = ((b"\xef\xbb\xbf", "UTF-8"), (b"\xff\xfe", "UTF-16-LE"), (b"\xfe\xff", "UTF-16-BE"))


class TextBlocks:
    """Blocks of lines that end in LF.

    A byte-order mark says which encoding it is. Without one, text is UTF-8, or Windows-1252 where the first block with
    bytes above 127 is not UTF-8. Lines end in LF or CRLF, or in CR where the first block has no LF.

    Attributes:
        encoding: as known so far: `ASCII`, `UTF-8`, `UTF-16-LE`, `UTF-16-BE` or `Windows-1252`.
    """

    def __init__(self, source: ByteSource):
        self._source, self._path = source, source.path
        block = source.read(BLOCK_BYTES)
        self.encoding, self._lines = "ASCII", 0
        for mark, encoding in _MARKS:
            if block.startswith(mark):
                block, self.encoding = block[len(mark) :], encoding
                break
        self._utf16 = codecs.getincrementaldecoder(self.encoding)() if self.encoding.startswith("UTF-16") else None
        self._bytes = self._decoded_utf16(block, False)
        self._cr = b"\n" not in self._bytes and b"\r" in self._bytes[:-1]

    def __iter__(self) -> Iterator[bytes]:
        """Blocks, each the lines that follow.

        Raises:
            InputError: not text, or a line that is too long; names the line.
        """
        block, line_end = self._bytes, b"\r" if self._cr else b"\n"
        parts: list[bytes] = []  # of a line that has not ended
        while block:
            end = block.rfind(line_end) + 1
            if end:
                yield self._checked(b"".join([*parts, block[:end]]))
                parts = []
            parts.append(block[end:])
            if sum(map(len, parts)) > MAX_RECORD_BYTES:
                raise InputError(f"{self._path}, line {self._lines + 1}: {too_long()}")
            block = self._decoded_utf16(self._source.read(BLOCK_BYTES), False)
        parts.append(self._decoded_utf16(b"", True))
        if rest := b"".join(parts):
            yield self._checked(rest + b"\n")

    def _decoded_utf16(self, block: bytes, final: bool) -> bytes:
        """The block as UTF-8 where the source is UTF-16, else as it is."""
        if self._utf16 is None:
            return block
        try:
            return self._utf16.decode(block, final).encode()
        except UnicodeError as error:
            raise InputError(
                f"{self._path} begins as {self.encoding} does and is not ({error}): export it again"
            ) from error

    def _checked(self, block: bytes) -> bytes:
        """The block as UTF-8 with lines that end in LF.

        Raises:
            InputError: not text.
        """
        nul = block.find(b"\0")
        if nul >= 0 and not self._lines and _is_utf16(block):
            raise InputError(f"{self._path} looks like UTF-16 without its mark: save it as UTF-8")
        if nul >= 0:
            self._refuse(block, min(nul, _first_not_utf8(block, nul)), "it has a NUL byte")
        if not block.isascii() and self._utf16 is None:
            if self.encoding == "Windows-1252":
                block = self._windows_1252(block, 0)
            else:
                try:
                    block.decode("utf-8")
                    self.encoding = "UTF-8"
                except UnicodeDecodeError as error:
                    if self.encoding == "UTF-8":
                        self._refuse(block, error.start, "as the lines before are")
                    self.encoding, block = "Windows-1252", self._windows_1252(block, error.start)
        block = block.replace(b"\r\n", b"\n")
        if self._cr:
            block = block.replace(b"\r", b"\n")
        self._lines += block.count(b"\n")
        return block

    def _windows_1252(self, block: bytes, not_utf8: int) -> bytes:
        if control := _CONTROL.search(block):  # an image, say
            self._refuse(block, min(control.start(), not_utf8), "and it has control characters")
        try:
            return block.decode("cp1252").encode()
        except UnicodeDecodeError as error:
            self._refuse(block, max(error.start, not_utf8), "nor Windows-1252")
            raise

    def _refuse(self, block: bytes, position: int, why: str) -> None:
        line_end = b"\r" if self._cr else b"\n"
        line = self._lines + block.count(line_end, 0, position) + 1
        raise InputError(
            f"{self._path}, line {line}: not UTF-8 text ({why}): give a text file of flows, or a Parquet file"
        )


def _is_utf16(block: bytes) -> bool:
    """Whether nearly every second byte is NUL, as in UTF-16 of Latin text."""
    sample = block[:1024]
    return any(sample[i::2].count(0) > 0.9 * len(sample[i::2]) and not sample[1 - i :: 2].count(0) for i in (0, 1))


def _first_not_utf8(block: bytes, otherwise: int) -> int:
    try:
        block.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.start
    return otherwise


def too_long() -> str:
    """The end of a sentence on a row that is too long."""
    return f"a row of more than {MAX_RECORD_BYTES >> 10} KiB: shorten it, or close an open quote before it"
