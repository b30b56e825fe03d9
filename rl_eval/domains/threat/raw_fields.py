"""The fields of a flow that an observation was made of, as a person reads them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from rl_eval.domains.base import RawField
from rl_eval.domains.threat.fitted_preprocessing import CLIP
from rl_eval.domains.threat.preprocess import Preprocessing
from rl_eval.formatting import number

DIGITS = 3
PRECISION = 1e-5  # of what float32 keeps of a field


def raw_fields(preprocessing: Preprocessing, observation: np.ndarray) -> list[RawField] | None:
    """The fields of one observation `[D]`; None where it is not as wide as the preprocessing's."""
    if observation.shape != (preprocessing.width,):
        return None
    with np.errstate(over="ignore"):
        numbers, codes = (values[0] for values in preprocessing.invert(observation[None]))
    return [*_numbers(preprocessing, observation, numbers), *_categories(preprocessing, codes)]


def _numbers(preprocessing: Preprocessing, observation: np.ndarray, values: np.ndarray) -> Iterator[RawField]:
    indicator = len(preprocessing.numeric)
    for column, (field, value) in enumerate(zip(preprocessing.numeric, values.tolist(), strict=True)):
        columns: tuple[int, ...] = (column,)
        if abs(value) < PRECISION * (max(field.std, abs(field.mean)) if field.scale is None else field.scale):
            value = 0.0
        limit = "at least " if observation[column] >= CLIP else "at most " if observation[column] <= -CLIP else ""
        text = f"{limit}{number(value, DIGITS)}"
        if field.indicator:
            columns = (column, indicator)
            text = "missing" if observation[indicator] >= 0.5 else text
            indicator += 1
        yield RawField(field.name, text, columns)


def _categories(preprocessing: Preprocessing, codes: np.ndarray) -> Iterator[RawField]:
    first = len(preprocessing.numeric) + sum(field.indicator for field in preprocessing.numeric)
    for category, code in zip(preprocessing.categorical, codes.tolist(), strict=True):
        width = len(category.levels) + 1
        text = "another value" if code < 0 else category.levels[code]
        yield RawField(category.name, text, tuple(range(first, first + width)))
        first += width
