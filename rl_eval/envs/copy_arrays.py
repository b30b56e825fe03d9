"""`CopyArrays`: what N copies of an environment return, in one block of memory that processes can share."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np

from rl_eval.envs.space_values import has_arrays, mask_size


@dataclass(frozen=True)
class ArrayLayout:
    """The shapes of the arrays of N copies; plain JSON, so that two processes use one memory in the same way.

    Attributes:
        mask_size: how many booleans an action mask has; 0 where actions are neither Discrete nor MultiDiscrete.
        facts: the keys of `info` that are recorded.
    """

    num_envs: int
    obs_shape: Sequence[int]
    obs_dtype: str
    action_shape: Sequence[int]
    mask_size: int
    facts: Sequence[str] = ()

    @classmethod
    def of(cls, num_envs: int, observation: gym.Space, action: gym.Space, facts: Sequence[str] = ()) -> ArrayLayout:
        """From the spaces of one copy."""
        arrays = has_arrays(observation)
        shape, dtype = (observation.shape or (), observation.dtype) if arrays else ((), np.dtype(object))
        return cls(num_envs, shape, dtype.str, action.shape or (), mask_size(action), tuple(facts))  # type: ignore[union-attr]


class CopyArrays:
    """Values that N copies return: `obs`, `final_obs` `[N, ...]`, `rewards`, `terminated`, `truncated`, `idle` `[N]`.

    For Discrete actions also `action_mask`, `final_action_mask` `[N, A]`, written where the environment gives masks;
    `facts` `[F, N]` are values of `info`, NaN where a step has none.

    Args:
        memory: where they are; None: memory of only this process. Observations that are objects are always there.
    """

    def __init__(self, layout: ArrayLayout, memory: Any = None):
        self.layout = layout
        n, obs = layout.num_envs, (layout.num_envs, *layout.obs_shape)
        parts = {
            "rewards": ((n,), "f8"),
            "obs": (obs, layout.obs_dtype),
            "final_obs": (obs, layout.obs_dtype),
            "terminated": ((n,), "?"),
            "truncated": ((n,), "?"),
            "idle": ((n,), "?"),
            "action_mask": ((n, layout.mask_size), "?"),
            "final_action_mask": ((n, layout.mask_size), "?"),
            "facts": ((len(layout.facts), n), "f8"),
        }
        # Actions keep the type they come in, since an environment may mind: room for the widest.
        self._actions_at, self._actions_size = 0, n * math.prod(layout.action_shape) * 8
        self._memory = bytearray(self.size(layout)) if memory is None else memory
        at = _aligned(self._actions_size)
        for name, (shape, dtype) in parts.items():
            if np.dtype(dtype).hasobject:
                setattr(self, name, np.empty(shape, dtype))
                continue
            array: np.ndarray = np.ndarray(shape, dtype, buffer=self._memory, offset=at)
            setattr(self, name, array)
            at += _aligned(array.nbytes)

    rewards: np.ndarray
    obs: np.ndarray
    final_obs: np.ndarray
    terminated: np.ndarray
    truncated: np.ndarray
    idle: np.ndarray
    action_mask: np.ndarray
    final_action_mask: np.ndarray
    facts: np.ndarray

    @staticmethod
    def size(layout: ArrayLayout) -> int:
        """Bytes that the arrays need."""
        n = layout.num_envs
        obs = n * math.prod(layout.obs_shape) * np.dtype(layout.obs_dtype).itemsize
        actions, masks = n * math.prod(layout.action_shape) * 8, n * layout.mask_size
        sizes = (actions, n * 8, obs, obs, n, n, n, masks, masks, len(layout.facts) * n * 8)
        return sum(_aligned(size) for size in sizes)

    def actions(self, shape: Sequence[int], dtype: str) -> np.ndarray:
        """The room for actions of one shape and type.

        Raises:
            ValueError: it does not hold them.
        """
        if math.prod(shape) * np.dtype(dtype).itemsize > self._actions_size or np.dtype(dtype).hasobject:
            expected = (self.layout.num_envs, *self.layout.action_shape)
            raise ValueError(f"actions of shape {tuple(shape)} and type {dtype}, but {expected} numbers are expected")
        return np.ndarray(tuple(shape), dtype, buffer=self._memory, offset=self._actions_at)


def _aligned(size: int) -> int:
    """Rounded up to whole cache lines, so that no two arrays share one."""
    return -(-size // 64) * 64
