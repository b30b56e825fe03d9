"""Static embeddings of words by WordLlama, whose weights come with its package (extra `llm`); nothing is downloaded.

An embedding has 6 blocks of 256 columns: the whole prompt, and five groups of its parts. A block is the mean of the
vectors of its tokens at length 1, and 0 if the prompt has no such part.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from rl_eval.domains.prompt.encoding.encoder import WIDTH, FittedEncoder, Identity
from rl_eval.domains.prompt.text.parts import parse
from rl_eval.errors import InputError
from rl_eval.extras import imports_of_extra

NAME = "wordllama-l2-supercat-256"
COLUMNS = 256  # of a block
GROUPS = (
    ("role", "task", "details"),
    ("context",),
    ("examples",),
    ("constraints", "output_format", "fallback"),
    ("steps",),
)
_FILES = ("weights/l2_supercat_256.safetensors", "tokenizers/l2_supercat_tokenizer_config.json")


class StaticEncoder:
    """Mean vectors of the tokens of a prompt and of its parts.

    Raises:
        InputError: the package is missing, or has other files.
    """

    def __init__(self) -> None:
        self._model, self.identity = _load()

    def to_json(self) -> FittedEncoder:
        """The identity; nothing is fitted."""
        return FittedEncoder(identity=self.identity)

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Texts to float32 `[N, WIDTH]` of length 1; a text without tokens is 0."""
        blocks = [block for text in texts for block in _blocks(text)]
        present = [index for index, block in enumerate(blocks) if block]
        rows = np.zeros((len(blocks), COLUMNS), np.float32)
        if present:
            rows[present] = self._model.embed([blocks[index] for index in present])
        rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)
        rows = rows.reshape(len(texts), WIDTH)
        return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)


def _blocks(text: str) -> list[str]:
    """The texts of the blocks; empty if there is none. Text of blanks only does not count."""
    parts = parse(text)
    groups = ["\n".join(segment for name in group for segment in getattr(parts, name)) for group in GROUPS]
    return [block.encode("utf-8", "replace").decode().strip() for block in (text, *groups)]


@lru_cache(maxsize=1)
def _load() -> tuple[Any, Identity]:
    with imports_of_extra("llm", "env.encoder=static"):
        import wordllama
    folder = Path(wordllama.__file__).parent
    digest = hashlib.sha256(repr((NAME, COLUMNS, GROUPS)).encode())
    try:
        for name in _FILES:
            digest.update((folder / name).read_bytes())
        # Its tokenizer is only looked for in a cache, so the package itself is named as the cache.
        model = wordllama.WordLlama.load(dim=COLUMNS, cache_dir=folder, disable_download=True)
    except (OSError, ValueError) as error:
        raise InputError(
            f"env.encoder=static needs the weights that wordllama comes with ({error}): install it again"
        ) from error
    version = str(getattr(wordllama, "__version__", "unknown"))
    return model, Identity(name=NAME, version=version, width=WIDTH, digest=digest.hexdigest())
