"""Named arrays in checkpoints: adding and removing prefixes, and running statistics as arrays."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from agents.normalize import Moments


def with_prefix(prefix: str, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The same arrays by the names `<prefix>.<name>`."""
    return {f"{prefix}.{name}": array for name, array in arrays.items()}


def without_prefix(prefix: str, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Those arrays whose names begin with `<prefix>.`, by the rest of their names."""
    start = f"{prefix}."
    return {name.removeprefix(start): array for name, array in arrays.items() if name.startswith(start)}


def pack_moments(prefix: str, moments: Moments | None) -> dict[str, np.ndarray]:
    """Running statistics as named arrays; none for None."""
    if moments is None:
        return {}
    return {
        f"{prefix}.count": np.asarray(moments.count, np.float64),
        f"{prefix}.mean": np.asarray(moments.mean, np.float64),
        f"{prefix}.m2": np.asarray(moments.m2, np.float64),
    }


def unpack_moments(prefix: str, arrays: Mapping[str, np.ndarray]) -> Moments | None:
    """The statistics that `pack_moments` packed; None if there are none."""
    if f"{prefix}.count" not in arrays:
        return None
    return Moments(float(arrays[f"{prefix}.count"]), arrays[f"{prefix}.mean"], arrays[f"{prefix}.m2"])


def take_over_moments(own: Moments | None, prefix: str, arrays: Mapping[str, np.ndarray]) -> Moments | None:
    """`unpack_moments` of another agent's arrays, in place of an agent's own statistics.

    Raises:
        ValueError: they are not statistics of what the agent normalises.
    """
    moments = unpack_moments(prefix, arrays)
    if moments is None or own is None:
        if moments is not own:
            raise ValueError(f"it has {'no' if moments is None else 'the'} statistics {prefix!r}")
    elif not own.mean.shape == moments.mean.shape == moments.m2.shape or moments.count < 0 or (moments.m2 < 0).any():
        raise ValueError(f"its statistics {prefix!r} are not for {own.mean.size} numbers")
    return moments
