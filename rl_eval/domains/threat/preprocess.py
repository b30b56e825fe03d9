"""Preprocess raw flows to float32 observations, with statistics of the training part only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from rl_eval.domains.threat.fitted_preprocessing import (
    CLIP,
    Categorical,
    FittedPreprocessing,
    LeftOut,
    Numeric,
    column_names,
    silent_fields,
)
from rl_eval.domains.threat.flow_table import NOT_READ, Reading, Table
from rl_eval.errors import InputError

# A field whose largest magnitude is this many times its median (zeros aside) is heavy-tailed.
HEAVY_TAIL = 20.0
# Rarer levels join "other", so that the weights of "other" are trained.
MIN_LEVEL_COUNT = 5
MAX_LEVELS = 100
_UNUSED = {"median", "indicator"}  # where no value may be missing
LARGE = 1e150  # the squares of larger numbers are infinite


@dataclass(frozen=True)
class Preprocessing:
    """Maps a `Table` of R flows to observations `[R, D]`.

    Attributes:
        dropped: fields that were constant in training.
        rare: categorical fields none of whose values occurs `MIN_LEVEL_COUNT` times in training.
        reading: how the fields were read from the training file.
    """

    numeric: tuple[Numeric, ...]
    categorical: tuple[Categorical, ...]
    dropped: tuple[str, ...]
    rare: tuple[LeftOut, ...] = ()
    reading: Reading = NOT_READ

    @property
    def width(self) -> int:
        """D, the columns of an observation."""
        return len(self.columns())

    def silent(self) -> dict[str, str]:
        """Column or field that no observation shows -> why."""
        return silent_fields(self.dropped, (*self.reading.left_out, *self.rare), self.reading.typed)

    def columns(self) -> list[str]:
        """The name of every column, `[D]`."""
        return list(column_names(self.numeric, self.categorical))

    def fields(self) -> list[str]:
        """The raw field that each column comes from, `[D]`."""
        levels = [field.name for field in self.categorical for _ in (*field.levels, "<other>")]
        indicators = [field.name for field in self.numeric if field.indicator]
        return [*(field.name for field in self.numeric), *indicators, *levels]

    def transform(self, table: Table) -> np.ndarray:
        """Observations, float32 `[R, D]`; an infinite value is the end of the range.

        Raises:
            InputError: a value is missing in a field that had none missing when this was fitted.
        """
        out = np.zeros((len(table), self.width), np.float32)
        first, rows = len(self.numeric), np.arange(len(table))
        for column, field in enumerate(self.numeric):
            x = table.numeric[:, table.numeric_names.index(field.name)]
            missing = np.isnan(x)
            if missing.any():
                x = np.where(missing, _median_of_field(field), x)
            if field.scale is not None:
                x = _asinh(x, field.scale)
            with np.errstate(over="ignore"):  # the difference of two very large numbers: clipped
                out[:, column] = np.clip((x - field.mean) / field.std, -CLIP, CLIP)
            if field.indicator:
                out[:, first] = missing
                first += 1
        for category in self.categorical:
            column_index = table.categorical_names.index(category.name)
            level_index = {level: i for i, level in enumerate(category.levels)}
            column_of = np.array(
                [level_index.get(level, len(level_index)) for level in table.levels[column_index]], np.int64
            )
            out[rows, first + column_of[table.codes[:, column_index]]] = 1.0
            first += len(level_index) + 1
        return out

    def invert(self, obs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Fields `[R, C]` float64 and level codes `[R, K]` (-1: other) of observations.

        Exact up to float32 if nothing was clipped and no field was dropped.
        """
        numeric = np.empty((len(obs), len(self.numeric)))
        for column, field in enumerate(self.numeric):
            x = obs[:, column].astype(np.float64) * field.std + field.mean
            numeric[:, column] = x if field.scale is None else np.sinh(x) * field.scale
        codes = np.empty((len(obs), len(self.categorical)), np.int64)
        first = len(self.numeric) + sum(field.indicator for field in self.numeric)
        for column, category in enumerate(self.categorical):
            width = len(category.levels) + 1
            level = obs[:, first : first + width].argmax(axis=1)
            codes[:, column] = np.where(level == width - 1, -1, level)
            first += width
        return numeric, codes

    def to_json(self) -> dict[str, Any]:
        """Everything needed to apply it elsewhere, of plain JSON types."""
        read = {
            "typed": [column.model_dump(mode="json") for column in self.reading.typed],
            "left_out": [entry.model_dump(mode="json") for entry in (*self.reading.left_out, *self.rare)],
            "events": list(self.reading.events),
        }
        return {
            "columns": self.columns(),
            "numeric": [_numeric_json(field) for field in self.numeric],
            "categorical": [field.model_dump(mode="json") for field in self.categorical],
            "dropped": list(self.dropped),
            "clip": CLIP,
            **{key: values for key, values in read.items() if values},
        }


def of_fitted(fitted: FittedPreprocessing) -> Preprocessing:
    """The preprocessing that was fitted elsewhere."""
    reading = Reading(typed=fitted.typed, left_out=fitted.left_out, events=fitted.events)
    return Preprocessing(fitted.numeric, fitted.categorical, fitted.dropped, (), reading)


def apply_fitted(fitted: FittedPreprocessing, table: Table) -> Preprocessing:
    """A preprocessing that was fitted on other flows, for flows with the same fields.

    Raises:
        InputError: the fields differ; names them.
    """
    left_out = {entry.column for entry in fitted.left_out}
    kinds = (
        ("numeric", {field.name for field in fitted.numeric}, table.numeric_names),
        ("categorical", {field.name for field in fitted.categorical}, table.categorical_names),
    )
    for kind, needed, present in kinds:
        if missing := sorted(needed - set(present)):
            raise InputError(
                f"env.preprocessing was fitted on data with the {kind} fields {', '.join(missing)}, "
                "which this data does not have: use data with the same fields"
            )
        if unknown := sorted(set(present) - needed - set(fitted.dropped) - left_out):
            raise InputError(
                f"env.preprocessing was fitted on data without the {kind} fields {', '.join(unknown)}: "
                "leave them out of the data, or with env.ignore"
            )
    return of_fitted(fitted)


def fit(train: Table, *, missing: Literal["error", "median", "indicator"] = "error") -> Preprocessing:
    """Fit the preprocessing to a training part.

    Args:
        missing: what takes the place of missing values: nothing, the median, or the median with a column that says so.
    """
    numeric, dropped, rare = [], [], []
    for name, x in zip(train.numeric_names, train.numeric.T, strict=True):
        present = np.isfinite(x)
        finite = x if present.all() else x[present]
        indicator = missing == "indicator" and bool(np.isnan(x).any())
        if not len(finite):
            dropped.append(name)
            continue
        scale = _heavy_tail_scale(finite)
        mean, std = _mean_and_std(finite if scale is None else _asinh(finite, scale))
        constant = std <= 1e-12 * max(1.0, abs(mean))
        if constant and not indicator and not np.isinf(x).any():
            dropped.append(name)
            continue
        numeric.append(
            Numeric(
                name=name,
                scale=scale,
                mean=mean,
                std=1.0 if constant else std,
                median=None if missing == "error" else _median(finite),
                indicator=indicator,
            )
        )
    categorical = []
    for name, levels, codes in zip(train.categorical_names, train.levels, train.codes.T, strict=True):
        counts = np.bincount(codes, minlength=len(levels))
        common = sorted((i for i in range(len(levels)) if counts[i] >= MIN_LEVEL_COUNT), key=lambda i: -counts[i])
        used = sorted(common[:MAX_LEVELS])  # in table order
        if len(used) == 1 and counts[used[0]] == len(train):
            dropped.append(name)
        elif not used:
            reason = f"none of its {int((counts > 0).sum()):,} values occurs {MIN_LEVEL_COUNT} times in training"
            rare.append(LeftOut(column=name, reason=reason))
        else:
            categorical.append(Categorical(name=name, levels=tuple(levels[i] for i in used)))
    return Preprocessing(tuple(numeric), tuple(categorical), tuple(dropped), tuple(rare), train.reading)


def _mean_and_std(x: np.ndarray) -> tuple[float, float]:
    """Mean and standard deviation of finite numbers, whose squares may be too large for a float."""
    largest = float(np.abs(x).max())
    if largest <= LARGE:
        return float(x.mean()), float(x.std())
    return float((x / largest).mean()) * largest, float((x / largest).std()) * largest


def _asinh(x: np.ndarray, scale: float) -> np.ndarray:
    """asinh(x / scale), also where the quotient is too large for a float: then it is log(2 |x|) - log(scale)."""
    with np.errstate(over="ignore"):
        y = np.arcsinh(x / scale)
    if not np.isfinite(y).all():
        large = np.isinf(y) & np.isfinite(x)
        y[large] = np.sign(x[large]) * (np.log(np.abs(x[large])) + np.log(2.0) - np.log(scale))
    return y


def _median(x: np.ndarray) -> float:
    """The median of finite numbers, whose sums may be too large for a float."""
    largest = float(np.abs(x).max())
    return float(np.median(x)) if largest <= LARGE else float(np.median(x / largest)) * largest


def _median_of_field(field: Numeric) -> float:
    if field.median is None:
        raise InputError(
            f"the field {field.name!r} has missing values, and the preprocessing was fitted without any: fill them, or "
            "train with env.missing=median or env.missing=indicator"
        )
    return field.median


def _numeric_json(field: Numeric) -> dict[str, Any]:
    return field.model_dump(mode="json", exclude=_UNUSED if field.median is None else set())


def _heavy_tail_scale(x: np.ndarray) -> float | None:
    """The scale at which asinh turns logarithmic: the 10th percentile of nonzero magnitudes."""
    magnitude = np.abs(x[x != 0.0])
    if not len(magnitude):
        return None
    with np.errstate(over="ignore"):
        if magnitude.max() <= HEAVY_TAIL * np.median(magnitude):
            return None
    return float(np.quantile(magnitude, 0.1))
