"""Wrappers by name: those of Gymnasium, and classes of anyone's module."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

import gymnasium as gym

from rl_eval.envs.returned_values import name_of
from rl_eval.errors import InputError, nearest
from rl_eval.plugins import hint_on_path

NamedWrapper = tuple[str, dict[str, Any]]


def wrapped(env: gym.Env, wrappers: Sequence[NamedWrapper]) -> gym.Env:
    """An environment in wrappers, the first innermost.

    Args:
        wrappers: the name, of `gymnasium.wrappers` or as `module:Class`, and the arguments of each.

    Raises:
        InputError: there is no such wrapper, or it does not take the arguments or the environment.
    """
    for name, arguments in wrappers:
        wrapper = _wrapper(name)
        try:
            # YAML has no tuples, which shapes must be
            values = {key: tuple(value) if isinstance(value, list) else value for key, value in arguments.items()}
            env = wrapper(env, **values)
        except Exception as error:  # foreign code raises anything
            shown = f" with {arguments!r:.200}" if arguments else ""
            line = " ".join(str(error).split())[:300] or type(error).__name__
            raise InputError(f"env.wrappers: {name}{shown} cannot be applied to {name_of(env)!r}: {line}") from error
        if not isinstance(env, gym.Env):
            raise InputError(f"env.wrappers: {name} made {type(env).__name__}: it must be a class of gymnasium.Wrapper")
    return env


def _wrapper(name: str) -> Any:
    module, _, attribute = name.rpartition(":")
    if not module:
        known = {key: value for key, value in vars(gym.wrappers).items() if key in gym.wrappers.__all__}
        classes = [key for key, value in known.items() if isinstance(value, type) and issubclass(value, gym.Wrapper)]
        if name not in classes:
            raise InputError(
                f"env.wrappers: {name!r} is not a wrapper of gymnasium.wrappers: {nearest(name, classes)}name one of "
                f"these, or `module:Class`"
            )
        return known[name]
    try:
        return getattr(importlib.import_module(module), attribute)
    except Exception as error:  # foreign code raises anything
        reason = f"{' '.join(str(error).split())[:300]}{hint_on_path(module, error)}"
        raise InputError(f"env.wrappers: {name!r} cannot be imported: {reason}") from error
