"""Preprocess raw flows to float32 observations, with statistics of the training part only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from rl_eval.domains.threat.fitted_preprocessing import CLIP, Categorical, FittedPreprocessing, Numeric, column_names
from rl_eval.domains.threat.flow_table import Table
from rl_eval.errors import InputError

# A field whose largest magnitude is this many times its median (zeros aside) is heavy-tailed.
HEAVY_TAIL = 20.0
# Rarer levels join "other", so that the weights of "other" are trained.
MIN_LEVEL_COUNT = 5
MAX_LEVELS = 100


@dataclass(frozen=True)
class Preprocessing:
    """Maps a `Table` of R flows to observations `[R, D]`; fields constant in training are dropped."""

    numeric: tuple[Numeric, ...]
    categorical: tuple[Categorical, ...]
    dropped: tuple[str, ...]

    @property
    def width(self) -> int:
        """D, the columns of an observation."""
        return len(self.numeric) + sum(len(c.levels) + 1 for c in self.categorical)

    def columns(self) -> list[str]:
        """The name of every column, `[D]`."""
        return list(column_names(self.numeric, self.categorical))

    def fields(self) -> list[str]:
        """The raw field that each column comes from, `[D]`."""
        levels = [field.name for field in self.categorical for _ in (*field.levels, "<other>")]
        return [*(field.name for field in self.numeric), *levels]

    def transform(self, table: Table) -> np.ndarray:
        """Observations, float32 `[R, D]`."""
        out = np.zeros((len(table), self.width), np.float32)
        for column, field in enumerate(self.numeric):
            x = table.numeric[:, table.numeric_names.index(field.name)]
            if field.scale is not None:
                x = np.arcsinh(x / field.scale)
            out[:, column] = np.clip((x - field.mean) / field.std, -CLIP, CLIP)
        first, rows = len(self.numeric), np.arange(len(table))
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
        codes, first = np.empty((len(obs), len(self.categorical)), np.int64), len(self.numeric)
        for column, category in enumerate(self.categorical):
            width = len(category.levels) + 1
            level = obs[:, first : first + width].argmax(axis=1)
            codes[:, column] = np.where(level == width - 1, -1, level)
            first += width
        return numeric, codes

    def to_json(self) -> dict[str, Any]:
        """Everything needed to apply it elsewhere, of plain JSON types."""
        return {
            "columns": self.columns(),
            "numeric": [field.model_dump(mode="json") for field in self.numeric],
            "categorical": [field.model_dump(mode="json") for field in self.categorical],
            "dropped": list(self.dropped),
            "clip": CLIP,
        }


def apply_fitted(fitted: FittedPreprocessing, table: Table) -> Preprocessing:
    """A preprocessing that was fitted on other flows, for flows with the same fields.

    Raises:
        InputError: the fields differ; names them.
    """
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
        if unknown := sorted(set(present) - needed - set(fitted.dropped)):
            raise InputError(
                f"env.preprocessing was fitted on data without the {kind} fields {', '.join(unknown)}: "
                "leave them out of the data, or with env.ignore"
            )
    return Preprocessing(fitted.numeric, fitted.categorical, fitted.dropped)


def fit(train: Table) -> Preprocessing:
    """Fit the preprocessing to a training part."""
    numeric, dropped = [], []
    for name, x in zip(train.numeric_names, train.numeric.T, strict=True):
        scale = _heavy_tail_scale(x)
        if scale is not None:
            x = np.arcsinh(x / scale)
        mean, std = float(x.mean()), float(x.std())
        if std <= 1e-12 * max(1.0, abs(mean)):
            dropped.append(name)
        else:
            numeric.append(Numeric(name=name, scale=scale, mean=mean, std=std))
    categorical = []
    for name, levels, codes in zip(train.categorical_names, train.levels, train.codes.T, strict=True):
        counts = np.bincount(codes, minlength=len(levels))
        common = sorted((i for i in range(len(levels)) if counts[i] >= MIN_LEVEL_COUNT), key=lambda i: -counts[i])
        used = sorted(common[:MAX_LEVELS])  # in table order
        if len(used) == 1 and counts[used[0]] == len(train):
            dropped.append(name)
        else:
            categorical.append(Categorical(name=name, levels=tuple(levels[i] for i in used)))
    return Preprocessing(tuple(numeric), tuple(categorical), tuple(dropped))


def _heavy_tail_scale(x: np.ndarray) -> float | None:
    """The scale at which asinh turns logarithmic: the 10th percentile of nonzero magnitudes."""
    magnitude = np.abs(x[x != 0.0])
    if not len(magnitude) or magnitude.max() <= HEAVY_TAIL * np.median(magnitude):
        return None
    return float(np.quantile(magnitude, 0.1))
