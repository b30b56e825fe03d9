"""`torchscript:<file>`: a module of torch that was scripted or traced.

It gets observations `[1, …]`, a dict of them for Dict spaces, and returns actions `[1, …]`, for Discrete actions also
logits `[1, A]` as floats. Of several outputs the first counts. It gets one observation per call: the last bits of a row
depend on the size of its batch.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np

from rl_eval.envs.space_values import batch, has_arrays, space_text
from rl_eval.errors import InputError
from rl_eval.extras import imports_of_extra
from rl_eval.formatting import short_path
from rl_eval.policy._actions import actions_from, checked_actions
from rl_eval.policy._identity import digest
from rl_eval.policy._policy import Policy, Spaces
from rl_eval.policy._randomness import OwnRandomness
from rl_eval.policy._source import Source


class TorchScriptPolicy:
    """A module in the contract of this file."""

    def __init__(self, module: Any, spec: str, spaces: Spaces, seed: int):
        self._module, self._spec, self._spaces = module, spec, spaces
        self._randomness, self._rng = OwnRandomness(seed), np.random.default_rng(seed)

    def act(self, obs: np.ndarray, greedy: bool, mask: np.ndarray | None = None) -> np.ndarray:
        """Actions `[N, …]`: the module's own, or the most likely, or a draw, by its logits of legal actions.

        Raises:
            InputError: the module fails, or returns no action.
        """
        rows = []
        with self._randomness:
            for row in range(len(obs)):
                rows.append(self._answer(batch(self._spaces.observation, obs[row : row + 1])))
        shapes = {answer.shape for answer in rows}
        if len(shapes) > 1:
            raise InputError(f"policy {self._spec!r} returned answers of different shapes, such as {shapes.pop()}")
        answers = np.concatenate(rows)
        action = self._spaces.action
        if isinstance(action, gym.spaces.Discrete) and answers.dtype.kind == "f":
            if answers.shape != (len(obs), int(action.n)) or np.isnan(answers).any():
                raise InputError(
                    f"policy {self._spec!r} returned floats of shape {answers[:1].shape} for one observation: they "
                    f"must be logits of shape (1, {action.n}), without NaN"
                )
            return actions_from(answers, np.zeros(()), action, None if greedy else self._rng, mask)
        if not greedy:
            raise InputError(
                f"policy {self._spec!r} returns only its action, so it cannot be sampled: judge it with "
                "`policy: greedy`, or return logits"
            )
        return checked_actions(answers, len(obs), action, self._spec)

    def _answer(self, observation: Any) -> np.ndarray:
        import torch

        try:
            with torch.inference_mode():
                answer = self._module(_tensors(observation))
            answer = answer[0] if isinstance(answer, tuple | list) else answer
            array = answer.numpy()
        except Exception as error:  # code of anyone
            line = " ".join(str(error).split())[-300:]
            raise InputError(f"policy {self._spec!r} failed on an observation: {line}") from error
        if array.ndim == 0 or len(array) != 1:
            raise InputError(f"policy {self._spec!r} returned shape {array.shape} for one observation: return (1, …)")
        return array


def _has_tensors(space: gym.Space) -> bool:
    if isinstance(space, gym.spaces.Dict):
        return all(map(_has_tensors, space.values()))
    return all(map(_has_tensors, space)) if isinstance(space, gym.spaces.Tuple) else has_arrays(space)


def _tensors(observation: Any) -> Any:
    import torch

    if isinstance(observation, Mapping):
        return {name: _tensors(part) for name, part in observation.items()}
    if isinstance(observation, tuple):
        return tuple(map(_tensors, observation))
    return torch.as_tensor(np.array(observation))


class TorchScriptSource(Source):
    """A TorchScript file. Needs trust: such a file is a program."""

    prefix = "torchscript"
    usage = "torchscript:<file>"
    acts_alone = True
    files: ClassVar[Mapping[str, str]] = {".pt": "torchscript:{file}", ".pth": "torchscript:{file}"}

    def needs_trust(self, rest: str) -> str | None:
        """Always."""
        return "is a program of torch, which runs with your rights"

    def load(self, rest: str, spec: str, spaces: Spaces, config: Any, seed: int) -> Policy:
        """The module, on the CPU.

        Raises:
            InputError: the file is missing or damaged, or torch is not installed.
        """
        if not Path(rest).is_file():
            raise InputError(f"policy {spec!r}: the file {rest} does not exist")
        if not _has_tensors(spaces.observation) or not has_arrays(spaces.action):
            raise InputError(
                f"policy {spec!r} takes tensors, but {spaces.title} has {space_text(spaces.observation)} and "
                f"{space_text(spaces.action)}"
            )
        with imports_of_extra("train", f"policy {spec!r}"):
            import torch
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # that torch deprecates the format helps nobody here
                module = torch.jit.load(rest, map_location="cpu").eval()
        except Exception as error:  # damaged bytes raise anything
            line = " ".join(str(error).split())[:300]
            raise InputError(
                f"policy {spec!r} is not a module from torch.jit.save ({line}); weights also need the code of their "
                "network: python:<module>:<callable>"
            ) from error
        return TorchScriptPolicy(module, spec, spaces, seed)

    def identity(self, rest: str) -> str | None:
        """A hash of the bytes of the file."""
        return digest(self.prefix, Path(rest))

    def is_cacheable(self, rest: str) -> bool:
        """Yes: the file holds the code and the weights."""
        return True

    def canonical(self, rest: str) -> str:
        """The file."""
        return str(short_path(rest)) if rest else rest
