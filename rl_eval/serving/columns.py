"""Stored transitions as the columns that an agent learns from."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from rl_eval.serving.served_policy import ServedPolicy
from rl_eval.serving.store import StoredTransition, array


def columns(transitions: Sequence[StoredTransition], served: ServedPolicy) -> dict[str, np.ndarray]:
    """The columns of `agents.transitions.Transitions`, those of a unit as neighbours, units by their first decision.

    Args:
        transitions: in the order of their decisions.
    """
    ordered = by_unit(transitions)
    decisions, experiences = [row.decision for row in ordered], [row.experience for row in ordered]
    obs = np.stack([_floats(decision.observation) for decision in decisions])
    empty = np.zeros(obs.shape[1], np.float32)
    following = [empty if e.next_observation is None else _floats(e.next_observation) for e in experiences]
    discrete = served.actions is not None
    actions = np.stack([np.frombuffer(d.action, np.int64 if discrete else np.float32) for d in decisions])
    result = {
        "obs": obs,
        "actions": actions[:, 0] if discrete else actions,
        "rewards": np.array([experience.reward for experience in experiences]),
        "terminated": np.array([bool(experience.terminated) for experience in experiences]),
        "truncated": np.array([bool(experience.truncated) for experience in experiences]),
        "next_obs": np.stack(following),
        "streams": np.array([_stream(row) for row in ordered]),
    }
    for name, masks in (("masks", [d.mask for d in decisions]), ("next_masks", [e.next_mask for e in experiences])):
        if served.actions is not None and any(mask is not None for mask in masks):
            legal = np.ones(served.actions, bool)
            flags = [array(mask, bool) for mask in masks]
            result[name] = np.stack([legal if row is None else row for row in flags])
    return result


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


def _floats(content: bytes) -> np.ndarray:
    return np.frombuffer(content, np.float32)
