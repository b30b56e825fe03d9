"""Action masks: which discrete actions an environment allows.

An environment whose actions are not always legal gives `infos["action_mask"]` on reset and on every step: bool
`[N, A]`, which actions are legal in the observations it returns. Column a is the action `start + a`. Every row
has a legal action. With SAME_STEP autoreset `infos["final_action_mask"]` `[N, A]` says the same of `final_obs`; only
rows of truncated episodes are read, and without it every action is legal there. With NEXT_STEP autoreset the row of a
terminated episode may be empty. An environment without a mask on reset has none at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import numpy as np

# The logit or value of an illegal action. It acts as −∞: its exponential is 0, and no finite number is smaller. But
# 0 · ILLEGAL is 0 where 0 · −∞ is not a number, so entropies and gradients need no special case.
ILLEGAL = float(np.finfo(np.float32).min)


def masked(values: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
    """Logits or values `[…, A]`, those of illegal actions replaced by `ILLEGAL`; without a mask the same array."""
    return values if mask is None else np.where(mask, values, np.float32(ILLEGAL))


def read_mask(
    infos: Mapping[str, Any], n_envs: int, action_space: gym.Space, over: np.ndarray | None = None
) -> np.ndarray | None:
    """A copy of `infos["action_mask"]`; None if there is none.

    Args:
        over: bool `[N]`, copies that terminated and are not reset yet: every action counts as legal there.

    Raises:
        ValueError: the mask has another type or shape, a row without a legal action, or belongs to other actions.
    """
    if infos.get("action_mask") is None:
        return None
    mask = _checked("action_mask", infos["action_mask"], n_envs, action_space)
    if over is not None:
        mask |= over[:, None]
    return _with_legal_actions("action_mask", mask, np.ones(n_envs, bool))


def read_next_mask(
    infos: Mapping[str, Any], n_envs: int, action_space: gym.Space, over: np.ndarray | None = None
) -> np.ndarray:
    """`read_mask` of an environment that gave a mask before.

    Raises:
        ValueError: as `read_mask`, or there is no mask.
    """
    mask = read_mask(infos, n_envs, action_space, over)
    if mask is None:
        raise ValueError("the environment gave infos['action_mask'] on reset and not on a step: give it on both")
    return mask


def refuse_late_mask(infos: Mapping[str, Any]) -> None:
    """Check the infos of a step of an environment that gave no mask on reset.

    Raises:
        ValueError: it gives one now.
    """
    if infos.get("action_mask") is not None:
        raise ValueError("the environment gave infos['action_mask'] on a step and not on reset: give it on both")


def read_final_mask(
    infos: Mapping[str, Any], n_envs: int, action_space: gym.Space, truncated: np.ndarray
) -> np.ndarray | None:
    """`infos["final_action_mask"]`; None if there is none.

    Args:
        truncated: bool `[N]`, whose rows are read.

    Raises:
        ValueError: as `read_mask`.
    """
    if infos.get("final_action_mask") is None:
        return None
    mask = _checked("final_action_mask", infos["final_action_mask"], n_envs, action_space)
    return _with_legal_actions("final_action_mask", mask, truncated)


def _checked(name: str, mask: Any, n_envs: int, action_space: gym.Space) -> np.ndarray:
    if not isinstance(action_space, gym.spaces.Discrete):
        raise ValueError(f"infos[{name!r}] needs Discrete actions, and this environment takes {action_space}")
    mask, expected = np.array(mask), (n_envs, int(action_space.n))
    if mask.dtype != bool or mask.shape != expected:
        raise ValueError(f"infos[{name!r}] is {mask.dtype} {mask.shape}: it must be bool {expected}")
    return mask


def _with_legal_actions(name: str, mask: np.ndarray, rows: np.ndarray) -> np.ndarray:
    empty = rows & ~mask.any(axis=1)
    if empty.any():
        raise ValueError(f"infos[{name!r}] allows no action in copy {int(empty.argmax())}: one must be legal")
    return mask
