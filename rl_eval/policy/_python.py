"""`python:<module>:<callable>`: a Python function or object that acts."""

from __future__ import annotations

import contextlib
import importlib
import inspect
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from rl_eval.envs.space_values import batch
from rl_eval.errors import InputError
from rl_eval.plugins import hint_on_path
from rl_eval.policy._actions import checked_actions
from rl_eval.policy._identity import digest
from rl_eval.policy._policy import Policy, Spaces, starts
from rl_eval.policy._python_files import policy_files
from rl_eval.policy._randomness import OwnRandomness
from rl_eval.policy._source import Source


class PythonPolicy:
    """A foreign function, `f(obs [N, …]) -> actions [N]`; a batch of Dict observations is a dict of arrays.

    It may take `greedy`, `mask` and `episode_start` too; the last is what a function with a memory needs.
    """

    def __init__(self, function: Any, name: str, spaces: Spaces, randomness: OwnRandomness):
        self._function, self._name, self._spaces, self._randomness = function, name, spaces, randomness
        self._keywords = _parameters(function) & {"greedy", "mask", "episode_start"}

    @property
    def has_memory(self) -> bool:
        """Whether the function hears when episodes start."""
        return "episode_start" in self._keywords

    def act(
        self,
        obs: np.ndarray,
        greedy: bool,
        mask: np.ndarray | None = None,
        episode_start: np.ndarray | None = None,
    ) -> np.ndarray:
        """The function's actions.

        Raises:
            InputError: it is not one action per observation, or not an action of the environment.
        """
        options = {"greedy": greedy, "mask": mask, "episode_start": starts(episode_start, len(obs))}
        keywords = {name: options[name] for name in self._keywords}
        with self._randomness:
            answer = self._function(batch(self._spaces.observation, obs), **keywords)
        return checked_actions(answer, len(obs), self._spaces.action, self._name)


def _parameters(function: Any) -> set[str]:
    try:
        return set(inspect.signature(function).parameters)
    except ValueError:  # some built-in functions have no signature
        return set()


class PythonSource(Source):
    """A function, an object with `act`, or a class or function that makes such an object. Needs trust.

    A class makes one, and so does a function whose only parameter is `seed`. Each gets the seed if it takes one.
    """

    prefix = "python"
    usage = "python:<module>:<callable>"
    files: ClassVar[Mapping[str, str]] = {".py": "python:{stem}:<callable>"}

    def needs_trust(self, rest: str) -> str | None:
        """Always."""
        return "imports and runs code"

    def load(self, rest: str, spec: str, spaces: Spaces, config: Any, seed: int) -> Policy:
        """The function, object or class, imported.

        Raises:
            InputError: it cannot be imported, cannot be called, or declares files in a way that cannot be read.
        """
        module, _, name = rest.partition(":")
        with contextlib.suppress(OSError):  # the import says what is wrong with the source
            policy_files(module)
        randomness = OwnRandomness(seed)
        try:
            with randomness:
                value = getattr(importlib.import_module(module), name)
                if isinstance(value, type) or (callable(value) and _parameters(value) == {"seed"}):
                    value = value(seed=seed) if "seed" in _parameters(value) else value()
        except Exception as error:  # foreign code raises anything
            reason = f"{' '.join(str(error).split())}{hint_on_path(module, error)}"
            raise InputError(f"policy {spec!r} cannot be loaded: {reason}") from error
        function = value.act if hasattr(value, "act") else value
        if not callable(function):
            raise InputError(f"policy {spec!r} names {type(value).__name__}, which cannot be called with observations")
        return PythonPolicy(function, spec, spaces, randomness)

    def identity(self, rest: str) -> str | None:
        """A hash of its name and of the files that `_python_files.policy_files` finds, which it does not import."""
        module, _, name = rest.partition(":")
        files = policy_files(module)
        if not files:
            return None
        parts = [part for key in sorted(files) for part in (key, files[key])]
        return digest(self.prefix, module, name, *parts)
