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


class Encoder(Protocol):
    """Maps texts to vectors; the same text gives the same vector in every process."""

    @property
    def identity(self) -> Identity:
        """What its vectors mean."""

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Texts to float32 `[N, WIDTH]`, a fresh array."""
