"""Actions for the environment: sampled from a policy's distributions, or checked where other code returned them."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np

from rl_eval.envs.space_values import (
    ROUNDING,
    NotInSpaceError,
    as_rows,
    checked_value,
    describe,
    has_arrays,
    legal_parts,
    space_text,
    values_of,
    whole,
    within,
)
from rl_eval.errors import InputError

SHOWN = 60  # characters of an action in a message


def actions_from(
    parameters: np.ndarray,
    std: np.ndarray,
    action: gym.Space,
    rng: np.random.Generator | None,
    mask: np.ndarray | None = None,
) -> np.ndarray:
    """Actions as the environment takes them, from logits or means `[N, A]`.

    Args:
        parameters: logits for Discrete actions, means for a Box.
        std: `[A]` or `[1]`, for a Box.
        rng: of the draws; None: the most likely action.
        mask: bool `[N, A]`, which Discrete actions are legal; None: all. A row has a legal one.
    """
    if isinstance(action, gym.spaces.Discrete):
        if mask is not None:  # a legal action may have no probability
            parameters = np.where(mask, np.maximum(parameters, np.finfo(np.float32).min), -np.inf)
        if rng is not None:  # Gumbel-max
            parameters = parameters + rng.gumbel(size=parameters.shape)
        return parameters.argmax(axis=-1) + action.start
    assert isinstance(action, gym.spaces.Box)
    if rng is not None:
        parameters = parameters + std * rng.standard_normal(parameters.shape, np.float32)
    return within(action, parameters.reshape(len(parameters), *action.shape))


def legal_where_not(
    actions: np.ndarray, logits: np.ndarray, action: gym.spaces.Discrete, mask: np.ndarray
) -> np.ndarray:
    """Actions `[N]`; of the largest legal logit where `mask` `[N, A]` does not allow the action."""
    return np.where(legal_parts(action, actions, mask), actions, actions_from(logits, np.zeros(()), action, None, mask))


def checked_actions(answer: Any, n: int, action: gym.Space, name: str, *, clip: bool = False) -> np.ndarray:
    """The answer of a foreign policy as rows of actions of the environment.

    Args:
        answer: anything; a batch, or a list of N actions.
        n: the number of observations.
        name: of the policy, for the message.
        clip: whether an action outside of a Box is moved to its bound; otherwise only what rounding explains is.
            Integers may differ by rounding too; a number that is infinite in the type of the Box is refused.

    Raises:
        InputError: it is not one action per observation, or not an action of the environment.
    """
    if not has_arrays(action):
        return _checked_objects(answer, n, action, name)
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
    valid = _valid_rows(actions, action, clip)
    if not valid.all():
        wrong = int(valid.argmin())
        shown = f"{np.asarray(actions[wrong]).tolist()}"[:SHOWN]
        finite = actions.dtype.kind in "iuf" and np.isfinite(actions[wrong]).all()
        hint = ""
        if isinstance(action, gym.spaces.Box) and finite:
            fraction = np.dtype(action.dtype).kind in "iu" and not whole(actions[wrong]).all()
            hint = " (round it to integers)" if fraction else " (clip it)"
        raise InputError(
            f"policy {name} returned the {actions.dtype} action {shown} for observation {wrong} of {n}: every action "
            f"must be in {space_text(action)}{hint}"
        )
    if isinstance(action, gym.spaces.Box):
        return within(action, actions)
    return actions.astype(np.int8) if actions.dtype.kind == "b" else actions


def _checked_objects(answer: Any, n: int, action: gym.Space, name: str) -> np.ndarray:
    """Actions of a Dict, a Tuple, Text and others, object array `[N]`."""
    try:
        values = values_of(action, answer)
    except (ValueError, TypeError) as error:
        raise InputError(
            f"policy {name} returned {describe(answer)}: it must return a batch, or a list, of {n} actions in "
            f"{space_text(action)}"
        ) from error
    if len(values) != n:
        raise InputError(
            f"policy {name} returned {len(values)} actions for {n} observations: it must return one for each"
        )
    checked = []
    for index, value in enumerate(values):
        try:
            checked.append(checked_value(action, value, action=True))
        except NotInSpaceError as error:
            raise InputError(
                f"policy {name} returned an action for observation {index} of {n} that is not in "
                f"{space_text(action)}: {error}"
            ) from error
    return as_rows(action, checked)


def _valid_rows(actions: np.ndarray, action: gym.Space, clip: bool) -> np.ndarray:
    """Which rows are actions, bool `[N]`."""
    kinds = {gym.spaces.Box: "iuf", gym.spaces.MultiBinary: "iub"}.get(type(action), "iu")
    rows = actions.reshape(len(actions), -1)
    if actions.dtype.kind not in kinds or not len(actions):
        return np.full(len(actions), actions.dtype.kind in kinds)
    if isinstance(action, gym.spaces.Box):
        low, high = action.low.reshape(-1), action.high.reshape(-1)
        rounding = ROUNDING * np.maximum(1, np.abs(rows))
        converted = within(action, actions).reshape(rows.shape)
        inside = np.isfinite(rows) & (np.isfinite(converted) if converted.dtype.kind == "f" else whole(rows))
        return (inside if clip else inside & (rows >= low - rounding) & (rows <= high + rounding)).all(axis=1)
    if isinstance(action, gym.spaces.MultiBinary):
        return ((rows == 0) | (rows == 1)).all(axis=1)
    # unsigned numbers and a negative start have no common integer type, so Python's integers are compared
    first: Any = np.asarray(action.start).reshape(-1).astype(object)  # type: ignore[attr-defined]
    size = action.n if isinstance(action, gym.spaces.Discrete) else action.nvec  # type: ignore[attr-defined]
    last = first + np.asarray(size).reshape(-1).astype(object) - 1
    if isinstance(action, gym.spaces.Discrete) and first[0] <= int(rows.min()) and int(rows.max()) <= last[0]:
        return np.ones(len(rows), bool)
    values = rows.astype(object)
    return ((values >= first) & (values <= last)).astype(bool).all(axis=1)
