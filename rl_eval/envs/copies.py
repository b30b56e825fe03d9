"""Copies of a Gymnasium environment: make them, and what is known of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium as gym
from gymnasium.envs.registration import EnvSpec

from rl_eval.envs.one_hot import OneHotObservation
from rl_eval.envs.returned_values import name_of
from rl_eval.envs.wrapping import NamedWrapper, wrapped
from rl_eval.errors import InputError


def make_copies(
    spec: EnvSpec, kwargs: dict[str, Any], count: int, wrappers: Sequence[NamedWrapper] = ()
) -> list[gym.Env]:
    """`count` copies of an environment in wrappers; Discrete observations become one-hot vectors.

    Raises:
        InputError: a wrapper does not exist, or does not fit.
        Exception: any that the environment raises on its kwargs.
    """
    copies = [wrapped(gym.make(spec, disable_env_checker=True, **kwargs), wrappers) for _ in range(count)]
    if copies and isinstance(copies[0].observation_space, gym.spaces.Discrete):
        copies = [OneHotObservation(env) for env in copies]
    return copies


def is_gymnasiums(spec: EnvSpec | None) -> bool:
    """Whether an environment comes with Gymnasium, so that its behaviour is known."""
    if spec is None or not isinstance(spec.entry_point, str) or not spec.entry_point.startswith("gymnasium.envs."):
        return False
    return all(
        wrapper.entry_point.startswith(("gymnasium.", OneHotObservation.__module__))
        for wrapper in spec.additional_wrappers
    )


def require_flat(env: gym.Env) -> None:
    """Check that an environment can be trained on; any other can be judged.

    Raises:
        InputError: its observations or actions are not flat.
    """
    space, action = env.observation_space, env.action_space
    if not isinstance(space, gym.spaces.Box) or len(space.shape) != 1:
        shape = f" of shape {space.shape}" if space.shape else ""
        raise InputError(
            f"training on {name_of(env)!r} is not supported: its observations are {type(space).__name__}{shape}, and "
            "training takes a flat Box or Discrete; `env.wrappers=[FlattenObservation]` flattens many, and a policy "
            "that was trained elsewhere can be judged"
        )
    if not isinstance(action, gym.spaces.Box | gym.spaces.Discrete):
        raise InputError(
            f"training on {name_of(env)!r} is not supported: its actions are {type(action).__name__}, and training "
            "takes Box or Discrete; a policy that was trained elsewhere can be judged"
        )
