"""Actions of any space without a policy behind them: uniform draws, constants, and those of a network's outputs."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np

from rl_eval.envs.space_values import as_rows, values_of
from rl_eval.policy._actions import actions_from


def finite_bounds(box: gym.spaces.Box) -> tuple[np.ndarray, np.ndarray]:
    """The bounds of a Box, with a large number where there is none."""
    return np.maximum(box.low, -1e6), np.minimum(box.high, 1e6)


def draws(action: gym.Space, n: int, rng: np.random.Generator, mask: np.ndarray | None = None) -> np.ndarray:
    """N independent actions as rows, uniform over those that `mask` `[N, A]` allows.

    Of spaces without a uniform distribution, such as Text, what Gymnasium samples.
    """
    return as_rows(action, values_of(action, _draws(action, n, rng, mask)))


def _draws(action: gym.Space, n: int, rng: np.random.Generator, mask: np.ndarray | None = None) -> Any:
    if isinstance(action, gym.spaces.Discrete):
        if mask is not None:
            return np.where(mask, rng.random(mask.shape), -1.0).argmax(axis=1) + action.start
        return rng.integers(action.start, action.start + action.n, n)
    if isinstance(action, gym.spaces.Box):
        low, high = finite_bounds(action)
        if np.dtype(action.dtype).kind in "iu":
            return rng.integers(low.astype(np.int64), high.astype(np.int64), (n, *low.shape), endpoint=True)
        return rng.uniform(low, high, (n, *low.shape)).astype(action.dtype)
    if isinstance(action, gym.spaces.MultiDiscrete):
        if mask is not None:
            return largest_parts(action, np.where(mask, rng.random(mask.shape), -1.0))
        return rng.integers(action.start, action.start + action.nvec, (n, *action.shape))
    if isinstance(action, gym.spaces.MultiBinary):
        return rng.integers(0, 2, (n, *action.shape))
    if isinstance(action, gym.spaces.Dict):
        return {name: _draws(part, n, rng) for name, part in action.items()}
    if isinstance(action, gym.spaces.Tuple):
        return tuple(_draws(part, n, rng) for part in action)
    action.seed(int(rng.integers(2**31)))
    return [action.sample() for _ in range(n)]


def largest_parts(action: gym.spaces.MultiDiscrete, values: np.ndarray) -> np.ndarray:
    """For each number of a MultiDiscrete action the choice with the largest value `[N, Σ nvec]`."""
    ends = np.cumsum(action.nvec.reshape(-1))
    parts = np.split(values, ends[:-1], axis=1)
    chosen = np.stack([part.argmax(axis=1) for part in parts], axis=1)
    return chosen.reshape(len(values), *action.shape) + action.start


def has_points(action: gym.Space) -> bool:
    """Whether a space consists of numbers, so that it has a low, a middle and a high point."""
    if isinstance(action, gym.spaces.Dict):
        return all(map(has_points, action.values()))
    if isinstance(action, gym.spaces.Tuple):
        return all(map(has_points, action))
    return isinstance(action, gym.spaces.Box | gym.spaces.Discrete | gym.spaces.MultiDiscrete | gym.spaces.MultiBinary)


def point(action: gym.Space, name: str) -> Any:
    """`low`, `middle` or `high` of a space that has points."""
    if isinstance(action, gym.spaces.Dict):
        return {key: point(part, name) for key, part in action.items()}
    if isinstance(action, gym.spaces.Tuple):
        return tuple(point(part, name) for part in action)
    if isinstance(action, gym.spaces.Box):
        low, high = finite_bounds(action)
        return {"low": low, "middle": (low + high) / 2, "high": high}[name].astype(action.dtype)
    if isinstance(action, gym.spaces.MultiBinary):
        start, size = np.zeros(action.shape, np.int64), np.full(action.shape, 2)
    else:
        start, size = (
            np.asarray(getattr(action, "start", 0)),
            np.asarray(getattr(action, "nvec", getattr(action, "n", 1))),
        )
    value = start + {"low": 0 * size, "middle": size // 2, "high": size - 1}[name]
    return value.astype(action.dtype) if action.shape else int(value)


def actions_of_outputs(
    action: gym.Space, outputs: np.ndarray, std: np.ndarray, rng: np.random.Generator | None
) -> np.ndarray:
    """Rows of actions from a network's outputs `[N, flatdim]`; see `actions_from`."""
    if isinstance(action, gym.spaces.Discrete | gym.spaces.Box):
        return actions_from(outputs, std, action, rng)
    return as_rows(action, values_of(action, _of_outputs(action, outputs, std, rng)))


def _of_outputs(action: gym.Space, outputs: np.ndarray, std: np.ndarray, rng: np.random.Generator | None) -> Any:
    if isinstance(action, gym.spaces.Dict | gym.spaces.Tuple):
        parts = list(action.values()) if isinstance(action, gym.spaces.Dict) else list(action)
        ends = np.cumsum([gym.spaces.flatdim(part) for part in parts])
        pieces = np.split(outputs, ends[:-1], axis=1)
        chosen = [_of_outputs(part, piece, std, rng) for part, piece in zip(parts, pieces, strict=True)]
        return dict(zip(action, chosen, strict=True)) if isinstance(action, gym.spaces.Dict) else tuple(chosen)
    if isinstance(action, gym.spaces.MultiDiscrete):
        return largest_parts(action, outputs if rng is None else outputs + rng.gumbel(size=outputs.shape))
    if isinstance(action, gym.spaces.MultiBinary):
        noise = 0.0 if rng is None else rng.logistic(size=outputs.shape)
        return (outputs + noise > 0).astype(np.int8).reshape(len(outputs), *action.shape)
    return actions_from(outputs, std, action, rng)
