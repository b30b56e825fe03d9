"""Piecewise-linear encoding of inputs: each number becomes its position in bins that hold equally many observations.

A perceptron is slow to learn jumps and bumps of a function of one number. Tables of measurements are full of them, and
trees find them at once. With this encoding its first layer is already a piecewise-linear function of each number, with
a slope of its own in each bin.

Gorishniy, Rubachev and Babenko, *On embeddings for numerical features in tabular deep learning*, NeurIPS 2022
(arXiv 2203.05556), section 3.2: a number x in bins with the edges b₀ < b₁ < … < b_K becomes the K numbers
(x − b_{k−1}) / (b_k − b_{k−1}), clipped to [0, 1].
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from agents.normalize import Moments, normalize


@dataclass(frozen=True)
class Encoding:
    """K bins; those of one column are neighbours.

    Attributes:
        columns: int64 `[K]` the column of the observation.
        low: float32 `[K]` the lower edge.
        width: float32 `[K]` positive.
    """

    columns: np.ndarray
    low: np.ndarray
    width: np.ndarray

    @property
    def size(self) -> int:
        """K."""
        return len(self.columns)

    def __call__(self, obs: np.ndarray) -> np.ndarray:
        """Observations float32 `[…, D]` to positions in [0, 1], float32 `[…, K]`."""
        positions = obs.take(self.columns, axis=-1)
        positions -= self.low
        positions /= self.width
        return np.clip(positions, 0.0, 1.0, out=positions)

    def pull_back(self, gradient: np.ndarray, obs: np.ndarray) -> np.ndarray:
        """The gradient by observations `[B, D]`, from that by their positions `[B, K]`."""
        positions = (obs.take(self.columns, axis=-1) - self.low) / self.width
        slopes = np.where((positions > 0.0) & (positions < 1.0), gradient / self.width, 0.0)
        result = np.zeros(obs.shape, np.float64)
        np.add.at(result.T, self.columns, slopes.T)
        return result.astype(np.float32)

    def arrays(self) -> dict[str, np.ndarray]:
        """By name, as `from_arrays` takes them back."""
        return {"encoding.columns": self.columns, "encoding.low": self.low, "encoding.width": self.width}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Encoding | None:
        """That of a checkpoint; None where observations were not encoded.

        Raises:
            ValueError: the arrays are not such bins.
        """
        if "encoding.columns" not in arrays:
            return None
        columns, low, width = (np.array(arrays[f"encoding.{name}"]) for name in ("columns", "low", "width"))
        shapes = {array.shape for array in (columns, low, width)}
        if len(shapes) > 1 or columns.ndim != 1 or columns.dtype.kind not in "iu" or (columns < 0).any():
            raise ValueError("the encoding is not one column, lower edge and width per bin")
        if not (np.isfinite(low).all() and np.isfinite(width).all() and (width > 0).all()):
            raise ValueError("the encoding has a bin without a finite lower edge and a positive width")
        return cls(columns.astype(np.int64), low.astype(np.float32), width.astype(np.float32))


def fit(obs: np.ndarray, bins: int) -> Encoding:
    """Bins between quantiles of each column of observations `[R, D]`.

    Quantiles that are equal are one edge. A column with a single bin is left out: the encoding would be the number
    itself, on another scale.
    """
    columns, low, width = [], [], []
    for column, values in enumerate(np.asarray(obs, np.float32).T):
        edges = np.unique(np.quantile(values, np.linspace(0.0, 1.0, bins + 1)).astype(np.float32))
        if len(edges) > 2:
            columns += [column] * (len(edges) - 1)
            low.append(edges[:-1])
            width.append(np.diff(edges))
    if not columns:
        return Encoding(np.zeros(0, np.int64), np.zeros(0, np.float32), np.zeros(0, np.float32))
    return Encoding(np.array(columns, np.int64), np.concatenate(low), np.concatenate(width))


def network_inputs(obs: np.ndarray, moments: Moments | None, clip: float, encoding: Encoding | None) -> np.ndarray:
    """Observations `[…, D]` as networks take them: normalised, and then their positions in bins, `[…, D + K]`.

    Args:
        moments: of the observations; None: they are not normalised.
        clip: of normalised observations.
        encoding: None: there are no bins.
    """
    inputs = obs if moments is None else normalize(obs, moments, clip)
    return inputs if encoding is None else np.concatenate([inputs, encoding(obs)], axis=-1)
