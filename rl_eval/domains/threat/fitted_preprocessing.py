"""A fitted preprocessing as JSON, checked: `preprocessing.json` without `columns`, and `env.preprocessing`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

# Larger values carry no more information and would let one flow dominate a gradient.
CLIP = 5.0
CONSTANT = "the same in every training row"

_Finite = Annotated[float, Field(allow_inf_nan=False)]
_Positive = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]


class _StrictModel(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Numeric(_StrictModel):
    """One numeric field: `(asinh(x / scale) - mean) / std`, without the asinh where `scale` is None.

    Attributes:
        median: takes the place of a missing value; None: none may be missing.
        indicator: whether a column of its own says where a value was missing.
    """

    name: str
    scale: _Positive | None
    mean: _Finite
    std: _Positive
    median: _Finite | None = None
    indicator: bool = False

    @model_validator(mode="after")
    def _consistent(self) -> Numeric:
        if self.indicator and self.median is None:
            raise ValueError(f"the field {self.name!r} has an indicator of missing values, and no median for them")
        return self


class Categorical(_StrictModel):
    """One categorical field: a column for each level and a last one for any other."""

    name: str
    levels: tuple[str, ...]


class TypedColumn(_StrictModel):
    """A column of a file whose cells are read as something else than a number or a category.

    Attributes:
        kind: `time`: hour and weekday; `elapsed`: seconds since the column `since`; `address`: class and version.
        day_first: whether dates such as 07/08/2026 begin with the day; None where that makes no difference.
        weekday: whether the day of the week is known, which it is not where day and month cannot be distinguished.
    """

    column: str
    kind: Literal["time", "elapsed", "address"]
    since: str | None = None
    day_first: bool | None = None
    weekday: bool = True

    @model_validator(mode="after")
    def _consistent(self) -> TypedColumn:
        if (self.kind == "elapsed") != (self.since is not None):
            raise ValueError(f"the column {self.column!r} is {self.kind}, and `since` goes only with elapsed")
        return self

    @property
    def numbers(self) -> tuple[str, ...]:
        """The numeric fields that are made of it."""
        return tuple(f"{self.column}:{suffix}" for suffix in self._suffixes)

    @property
    def categories(self) -> tuple[str, ...]:
        """The categorical fields that are made of it."""
        return (f"{self.column}:class",) if self.kind == "address" else ()

    @property
    def _suffixes(self) -> tuple[str, ...]:
        if self.kind == "time":
            return ("hour_sin", "hour_cos", *(("weekday_sin", "weekday_cos") if self.weekday else ()))
        return ("elapsed",) if self.kind == "elapsed" else ("version",)


class LeftOut(_StrictModel):
    """A column of a file, or a field, that is not observed, and why in a few words."""

    column: str
    reason: str


class FittedPreprocessing(_StrictModel):
    """Which fields become which columns, and how.

    Attributes:
        dropped: fields that were constant in training.
        typed: columns that fields are made of. All other fields are columns of the same name.
        left_out: columns of the file that are not fields, and fields whose values are all rare in training.
        events: of EVE, the types of events that are flows to decide on.
    """

    numeric: tuple[Numeric, ...]
    categorical: tuple[Categorical, ...]
    dropped: tuple[str, ...]
    clip: float
    typed: tuple[TypedColumn, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    events: tuple[str, ...] = ()

    def silent(self) -> dict[str, str]:
        """Column or field that no observation shows -> why."""
        return silent_fields(self.dropped, self.left_out, self.typed)

    @model_validator(mode="after")
    def _consistent(self) -> FittedPreprocessing:
        if self.clip != CLIP:
            raise ValueError(f"clip is {self.clip}, and this version clips at {CLIP}")
        names = [*(field.name for field in self.numeric), *(field.name for field in self.categorical)]
        if len({*names, *self.dropped}) < len(names) + len(self.dropped):
            raise ValueError("a field is named twice")
        return self


def silent_fields(dropped: Sequence[str], left_out: Sequence[LeftOut], typed: Sequence[TypedColumn]) -> dict[str, str]:
    """Column or field that no observation shows -> why; parts of a column that another part shows do not count."""
    derived = {name for column in typed for name in (*column.numbers, *column.categories)}
    reasons = {entry.column: entry.reason for entry in left_out}
    return reasons | {name: CONSTANT for name in dropped if name not in derived}


def indicator_name(field: str) -> str:
    """The column that says where a value of a field was missing."""
    return f"{field}=<missing>"


def column_names(numeric: Sequence[Numeric], categorical: Sequence[Categorical]) -> tuple[str, ...]:
    """The name of every column of an observation, `[D]`."""
    levels = [f"{field.name}={level}" for field in categorical for level in (*field.levels, "<other>")]
    indicators = [indicator_name(field.name) for field in numeric if field.indicator]
    return (*(field.name for field in numeric), *indicators, *levels)
