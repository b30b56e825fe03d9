"""`Encoder`: the interface of a text encoder, and its identity."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

WIDTH = 1536  # columns of an embedding, as those of the embedding models that many applications use


class Identity(BaseModel):
    """What an embedding means: two encoders of one width are still two encoders.

    Attributes:
        digest: SHA-256 of everything that was fitted, and of the settings.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(max_length=200)
    version: str = Field(max_length=200)
    width: int = Field(ge=1, le=65_536)
    digest: str = Field(pattern="^[0-9a-f]{64}$")


class FittedEncoder(BaseModel):
    """An encoder as JSON: its identity, and what was fitted.

    Attributes:
        idf: inverse document frequencies, float32 `[WIDTH]`, little-endian, in base64; None of an encoder that is not
            fitted here.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    identity: Identity
    idf: str | None = Field(None, max_length=4 * WIDTH * 4 // 3 + 8)


class Encoder(Protocol):
    """Maps texts to vectors; the same text gives the same vector in every process."""

    @property
    def identity(self) -> Identity:
        """What its vectors mean."""

    def to_json(self) -> FittedEncoder:
        """What `preprocessing.json` holds of it."""

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Texts to float32 `[N, WIDTH]`, a fresh array."""
