"""Actions for the environment: sampled from a policy's distributions, or checked where other code returned them."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np

from rl_eval.errors import InputError


def actions_from(
    parameters: np.ndarray, std: np.ndarray, action: gym.Space, rng: np.random.Generator | None
) -> np.ndarray:
    """Actions as the environment takes them, from logits or means `[N, A]`.

    Args:
        parameters: logits for Discrete actions, means for a Box.
        std: `[A]` or `[1]`, for a Box.
        rng: of the draws; None: the most likely action.
    """
    if isinstance(action, gym.spaces.Discrete):
        if rng is not None:  # Gumbel-max
            parameters = parameters + rng.gumbel(size=parameters.shape)
        return parameters.argmax(axis=-1) + action.start
    assert isinstance(action, gym.spaces.Box)
    if rng is not None:
        parameters = parameters + std * rng.standard_normal(parameters.shape, np.float32)
    return np.clip(parameters.reshape(len(parameters), *action.shape), action.low, action.high).astype(action.dtype)


def checked_actions(answer: Any, n: int, action: gym.Space, name: str) -> np.ndarray:
    """The answer of a foreign policy as actions of the environment, clipped to a Box.

    Args:
        answer: anything.
        n: the number of observations.
        name: of the policy, for the message.

    Raises:
        InputError: it is not one action per observation, or not an action of the environment.
    """
    expected = (n, *(action.shape or ()))
    try:
        actions = np.asarray(answer)
    except ValueError as error:  # rows of different lengths
        raise InputError(
            f"policy {name} returned rows of different lengths: it must return one action for each observation, "
            f"{expected}"
        ) from error
    if actions.shape != expected:
        raise InputError(
            f"policy {name} returned actions of shape {actions.shape} for {n} observations: it must return one action "
            f"for each observation, {expected}"
        )
    if not _all_valid(actions, action):
        raise InputError(
            f"policy {name} returned {actions.dtype} actions that the environment does not have: every action must be "
            f"in {action}"
        )
    if isinstance(action, gym.spaces.Box):
        return np.clip(actions, action.low, action.high).astype(action.dtype)
    return actions


def _all_valid(actions: np.ndarray, action: gym.Space) -> bool:
    if isinstance(action, gym.spaces.Discrete):
        if actions.dtype.kind not in "iu":
            return False
        # unsigned numbers and a negative start have no common integer type, so Python's integers are compared
        return bool(len(actions) == 0) or (
            int(actions.min()) >= action.start and int(actions.max()) < action.start + action.n
        )
    return actions.dtype.kind in "iuf" and bool(np.isfinite(actions).all())
