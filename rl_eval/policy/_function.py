"""`python:<module>:<callable>`: code of somebody else's that acts."""

from __future__ import annotations

import importlib
import inspect
from typing import Any

import gymnasium as gym
import numpy as np

from rl_eval.errors import InputError
from rl_eval.policy._acting import Spaces, checked_actions


class Function:
    """A function of somebody else's, `f(obs [N, …]) -> actions [N]`, or one that takes `greedy` or `mask` as well."""

    def __init__(self, function: Any, name: str, action: gym.Space):
        self._function, self._name, self._action = function, name, action
        try:
            parameters = set(inspect.signature(function).parameters)
        except ValueError:  # some built-in functions have no signature
            parameters = set()
        self._keywords = parameters & {"greedy", "mask"}

    def act(self, obs: np.ndarray, greedy: bool, mask: np.ndarray | None = None) -> np.ndarray:
        """What the function answers, clipped to a Box.

        Raises:
            InputError: it is not one action an observation, or no action of the environment.
        """
        options = {"greedy": greedy, "mask": mask}
        keywords = {name: options[name] for name in self._keywords}
        return checked_actions(self._function(obs, **keywords), len(obs), self._action, self._name)


def load_function(rest: str, spec: str, spaces: Spaces) -> Function:
    """The function, object or class that `rest`, `<module>:<callable>`, names.

    Raises:
        InputError: it cannot be imported, or cannot be called.
    """
    module, _, name = rest.partition(":")
    try:
        found = getattr(importlib.import_module(module), name)
        if isinstance(found, type):
            found = found()
    except Exception as error:  # its code is not ours: whatever it raises
        hint = ""
        if isinstance(error, ModuleNotFoundError) and error.name and module.split(".")[0] == error.name.split(".")[0]:
            hint = " (`python -m pytest` finds modules in the folder it runs in, plain `pytest` does not)"
        raise InputError(f"policy {spec!r} cannot be loaded: {' '.join(str(error).split())}{hint}") from error
    acts = found.act if hasattr(found, "act") else found
    if not callable(acts):
        raise InputError(f"policy {spec!r} names {type(found).__name__}, which cannot be called with observations")
    return Function(acts, spec, spaces.action)
