"""A fitted preprocessing as JSON, checked: `preprocessing.json` without `columns`, and `env.preprocessing`."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

# Larger values carry no more information and would let one flow dominate a gradient.
CLIP = 5.0

_Finite = Annotated[float, Field(allow_inf_nan=False)]
_Positive = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]


class _StrictModel(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Numeric(_StrictModel):
    """One numeric field: `(asinh(x / scale) - mean) / std`, without the asinh where `scale` is None."""

    name: str
    scale: _Positive | None
    mean: _Finite
    std: _Positive


class Categorical(_StrictModel):
    """One categorical field: a column for each level and a last one for any other."""

    name: str
    levels: tuple[str, ...]


class FittedPreprocessing(_StrictModel):
    """Which fields become which columns, and how; `dropped` were constant in training."""

    numeric: tuple[Numeric, ...]
    categorical: tuple[Categorical, ...]
    dropped: tuple[str, ...]
    clip: float

    @model_validator(mode="after")
    def _consistent(self) -> FittedPreprocessing:
        if self.clip != CLIP:
            raise ValueError(f"clip is {self.clip}, and this version clips at {CLIP}")
        names = [*(field.name for field in self.numeric), *(field.name for field in self.categorical)]
        if len({*names, *self.dropped}) < len(names) + len(self.dropped):
            raise ValueError("a field is named twice")
        return self


def column_names(numeric: tuple[Numeric, ...], categorical: tuple[Categorical, ...]) -> tuple[str, ...]:
    """The name of every column of an observation, `[D]`."""
    levels = [f"{field.name}={level}" for field in categorical for level in (*field.levels, "<other>")]
    return (*(field.name for field in numeric), *levels)
