"""Stored transitions as the columns that an agent learns from."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from rl_eval.serving.rows import DamagedStoreError, StoredTransition
from rl_eval.serving.served_policy import ServedPolicy


def columns(
    transitions: Sequence[StoredTransition], served: ServedPolicy, *, propensities: bool = False
) -> dict[str, np.ndarray]:
    """The columns of `agents.transitions.Transitions`, those of a unit as neighbours, units by their first decision.

    Args:
        transitions: in the order of their decisions.
        propensities: whether `log_propensities` is one of them.

    Raises:
        DamagedStoreError: a stored array is not one that this policy has seen or chosen, or has no propensity.
    """
    ordered = by_unit(transitions)
    observations = [row.decision.observation for row in ordered]
    following = [row.experience.next_observation for row in ordered]
    width = int(np.prod(served.spaces.observation.shape or ()))
    result = {
        "obs": _floats(observations, width, "an observation"),
        "actions": _actions([row.decision.action for row in ordered], served),
        "rewards": np.array([row.experience.reward for row in ordered]),
        "terminated": np.array([row.experience.terminated for row in ordered]),
        "truncated": np.array([row.experience.truncated for row in ordered]),
        "next_obs": _floats([bytes(4 * width) if o is None else o for o in following], width, "a next observation"),
        "streams": np.array([_stream(row) for row in ordered]),
    }
    if propensities:
        log_probs = [row.decision.log_prob for row in ordered]
        if not all(log_prob is not None and np.isfinite(log_prob) for log_prob in log_probs):
            raise DamagedStoreError("a decision has no propensity")
        result["log_propensities"] = np.array(log_probs, np.float64)
    masks = {
        "masks": [row.decision.mask for row in ordered],
        "next_masks": [row.experience.next_mask for row in ordered],
    }
    for name, stored in masks.items():
        if served.actions is not None and any(mask is not None for mask in stored):
            result[name] = _masks(stored, served.actions)
    return result


def _arrays(stored: Sequence[bytes], dtype: Any, size: int, name: str) -> np.ndarray:
    """`[B, size]`, one row for each."""
    length = size * np.dtype(dtype).itemsize
    if any(len(content) != length for content in stored):
        raise DamagedStoreError(f"{name} does not have the size that this policy needs")
    return np.frombuffer(b"".join(stored), dtype).reshape(len(stored), size)


def _floats(stored: Sequence[bytes], size: int, name: str) -> np.ndarray:
    array = _arrays(stored, np.float32, size, name)
    if not np.isfinite(array).all():
        raise DamagedStoreError(f"{name} has numbers that are not finite")
    return array


def _actions(stored: Sequence[bytes], served: ServedPolicy) -> np.ndarray:
    """`[B]` from 0, or `[B, A]` as they were drawn."""
    if served.actions is None:
        return _floats(stored, int(np.prod(served.spaces.action.shape or ())), "an action")
    numbers = _arrays(stored, np.int64, 1, "an action")[:, 0]
    if ((numbers < 0) | (numbers >= served.actions)).any():
        raise DamagedStoreError("an action is not an action of this policy")
    return numbers


def _masks(stored: Sequence[bytes | None], actions: int) -> np.ndarray:
    """Bool `[B, A]`; all are legal where there is none."""
    flags = _arrays([b"\1" * actions if mask is None else mask for mask in stored], np.uint8, actions, "a mask")
    if (flags > 1).any() or not flags.any(axis=1).all():
        raise DamagedStoreError("a mask is not made of true and false with at least one legal action")
    return flags.astype(bool)


def by_unit(transitions: Sequence[StoredTransition]) -> list[StoredTransition]:
    """The same, those of a unit as neighbours; a decision without unit is a stream of its own."""
    units: dict[int, list[StoredTransition]] = {}
    for transition in transitions:
        units.setdefault(_stream(transition), []).append(transition)
    return [transition for unit in units.values() for transition in unit]


def _stream(transition: StoredTransition) -> int:
    """A number for each unit, the same in every update."""
    if transition.decision.unit is None:
        return -transition.seq
    return int.from_bytes(hashlib.blake2b(transition.decision.unit.encode(), digest_size=7).digest(), "big")
