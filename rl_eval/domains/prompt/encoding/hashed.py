"""The default encoder: hashed n-grams of words and of bytes, weighted by TF-IDF. It needs no download.

Each n-gram is hashed to a column (Weinberger et al., *Feature hashing for large scale multitask learning*, ICML 2009).
Two thirds of the columns are of words and pairs of words, one third is of byte n-grams, which carry any script and
words that were never seen. A column weighs (1 + ln count) · idf (Salton and Buckley 1988), and a text has length 1.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import zlib
from collections.abc import Iterable, Sequence

import numpy as np

from rl_eval.domains.prompt.encoding.encoder import WIDTH, FittedEncoder, Identity
from rl_eval.domains.prompt.fixed_strings import CHARACTERS, WORD, WORD_PAIR
from rl_eval.errors import InputError
from rl_eval.hashing import mix64

NAME, VERSION = "hashed-ngrams", "1"
WORD_COLUMNS = 1024  # the others are of byte n-grams
BYTE_LENGTHS = (3, 4, 5)  # of byte n-grams
_WORD = re.compile(r"\w+|[^\w\s]")
_SPACE = re.compile(r"\s+")


class HashedNgrams:
    """Hashed n-grams with TF-IDF weights.

    Args:
        idf: float32 `[WIDTH]`.
    """

    def __init__(self, idf: np.ndarray):
        self._idf = np.asarray(idf, np.float32)
        settings = f"{NAME} {VERSION} {WIDTH} {WORD_COLUMNS} {BYTE_LENGTHS}".encode()
        digest = hashlib.sha256(settings + self._idf.astype("<f4").tobytes()).hexdigest()
        self.identity = Identity(name=NAME, version=VERSION, width=WIDTH, digest=digest)

    @classmethod
    def fit(cls, texts: Iterable[str]) -> HashedNgrams:
        """The encoder whose weights fit these texts; a text that comes twice counts once."""
        distinct = sorted(set(texts))
        frequency = np.zeros(WIDTH)
        for text in distinct:
            frequency += _counts(text) > 0
        return cls((np.log((1 + len(distinct)) / (1 + frequency)) + 1).astype(np.float32))

    @classmethod
    def from_json(cls, fitted: FittedEncoder) -> HashedNgrams:
        """The encoder that `to_json` described.

        Raises:
            InputError: another encoder or version, or damaged weights.
        """
        named = fitted.identity
        if (named.name, named.version, named.width) != (NAME, VERSION, WIDTH):
            raise InputError(
                f"the embeddings come from the encoder {named.name} {named.version} of {named.width} columns, but "
                f"this version has {NAME} {VERSION} of {WIDTH}: equal columns do not mean the same, so train again"
            )
        try:
            idf = np.frombuffer(base64.b64decode(fitted.idf or "", validate=True), "<f4")
        except (binascii.Error, ValueError) as error:
            raise InputError(
                "the weights of the encoder are not base64 of float32 numbers: they are damaged"
            ) from error
        if idf.shape != (WIDTH,) or not np.isfinite(idf).all():
            raise InputError(f"the encoder has {idf.size} weights instead of {WIDTH} finite ones: it is damaged")
        encoder = cls(idf)
        if encoder.identity != named:
            raise InputError("the weights of the encoder do not have the digest that is recorded: they are damaged")
        return encoder

    def to_json(self) -> FittedEncoder:
        """Identity and weights."""
        weights = base64.b64encode(self._idf.astype("<f4").tobytes()).decode()
        return FittedEncoder(identity=self.identity, idf=weights)

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Texts to float32 `[N, WIDTH]` of length 1; a text without characters is 0."""
        rows = np.zeros((len(texts), WIDTH), np.float32)
        for row, text in zip(rows, texts, strict=True):
            counts = _counts(text)
            present = counts > 0
            counts[present] = 1 + np.log(counts[present])
            weights = counts * self._idf
            norm = np.sqrt(weights @ weights)
            row[:] = weights / norm if norm > 0 else 0.0
        return rows


def _counts(text: str) -> np.ndarray:
    """How many n-grams of a text fall into each column, float64 `[WIDTH]`."""
    lower = _SPACE.sub(" ", text.lower()).strip()
    words = np.array(
        [zlib.crc32(f"{WORD} {word}".encode(errors="replace")) for word in _WORD.findall(lower)], np.uint64
    )
    pairs = mix64(words[:-1] ^ mix64(words[1:] ^ np.uint64(zlib.crc32(WORD_PAIR.encode()))))
    hashes = np.concatenate([mix64(words), pairs])
    of_words = np.bincount((hashes % np.uint64(WORD_COLUMNS)).astype(np.int64), minlength=WORD_COLUMNS)
    content = np.frombuffer(lower.encode(errors="replace"), np.uint8).astype(np.uint64)
    start = np.uint64(zlib.crc32(CHARACTERS.encode()))
    ngrams = [_byte_ngrams(content, length, start) for length in BYTE_LENGTHS]
    columns = WIDTH - WORD_COLUMNS
    of_bytes = np.bincount((np.concatenate(ngrams) % np.uint64(columns)).astype(np.int64), minlength=columns)
    return np.concatenate([of_words, of_bytes]).astype(np.float64)


def _byte_ngrams(content: np.ndarray, length: int, start: np.uint64) -> np.ndarray:
    """A hash of every run of `length` bytes, uint64."""
    count = max(len(content) - length + 1, 0)
    packed = np.full(count, np.uint64(length))
    for offset in range(length):
        packed = (packed << np.uint64(8)) | content[offset : offset + count]
    return mix64(packed ^ start)
