"""What the inputs of a graph hold: observations, the action mask, where episodes start, and the policy's memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np

from rl_eval.envs.space_values import OneHot, as_it_is, batch, has_arrays, space_text
from rl_eval.errors import InputError
from rl_eval.policy._fixed_batches import ROWS
from rl_eval.policy._onnx_process import OnnxProcess, Tensor
from rl_eval.policy._policy import Spaces, starts

_FLOATS = {"tensor(float)": np.float32, "tensor(double)": np.float64}
_BOOLEANS = {"tensor(bool)": np.bool_, **_FLOATS}
_NUMBERS = {
    **_BOOLEANS,
    "tensor(uint8)": np.uint8,
    "tensor(int8)": np.int8,
    "tensor(int32)": np.int32,
    "tensor(int64)": np.int64,
}
MAX_FIXED_ROWS = 1024


@dataclass(frozen=True)
class GraphInputs:
    """The inputs of a graph by what they hold.

    Attributes:
        space: of the observations.
        observations: by name, `[N, …]`: one, or one for each key of a Dict space.
        rows: of one call; other than `ROWS` where the graph fixes it.
        mask: `[N, A]`, which actions are legal; None: the graph does not take it.
        episode_start: `[N]`; None: the graph does not take it.
        memory: each `[N, …]`; the output `next_<name>` is what the input `<name>` holds in the next call.
    """

    space: gym.Space
    observations: Mapping[str, Tensor]
    rows: int
    mask: Tensor | None
    episode_start: Tensor | None
    memory: tuple[Tensor, ...]

    @property
    def memory_outputs(self) -> list[str]:
        """The names of the outputs that hold the memory of the next call."""
        return [f"next_{tensor.name}" for tensor in self.memory]

    def arrays(
        self,
        obs: np.ndarray,
        mask: np.ndarray | None,
        episode_start: np.ndarray | None,
        memory: Mapping[str, np.ndarray],
    ) -> dict[str, np.ndarray]:
        """The inputs of one call by name; the memory of a copy is zeros where an episode starts.

        Args:
            memory: what the last call returned, by the name of the input; empty before the first call.
        """
        n, start = len(obs), starts(episode_start, len(obs))
        arrays: dict[str, np.ndarray] = {
            name: np.ascontiguousarray(part, _NUMBERS[self.observations[name].type]).reshape(
                n, *self.observations[name].shape[1:]
            )
            for name, part in self._parts(obs).items()
        }
        if self.mask is not None:
            legal = np.ones((n, self.mask.shape[1]), bool) if mask is None else mask
            arrays[self.mask.name] = legal.astype(_BOOLEANS[self.mask.type])
        if self.episode_start is not None:
            arrays[self.episode_start.name] = start.astype(_BOOLEANS[self.episode_start.type])
        for tensor in self.memory:
            values = np.zeros((n, *tensor.shape[1:]), _FLOATS[tensor.type])
            if not start.all():
                values[~start] = memory[tensor.name][~start]
            arrays[tensor.name] = values
        return arrays

    def _parts(self, obs: np.ndarray) -> Mapping[str, Any]:
        """The observations of each input."""
        if isinstance(self.space, gym.spaces.Dict):
            return batch(self.space, obs)
        ((name, tensor),) = self.observations.items()
        takes_one_hot = tuple(tensor.shape[1:]) == self.space.shape
        return {name: obs if takes_one_hot else batch(self.space, obs)}


def graph_inputs(graph: OnnxProcess, spec: str, spaces: Spaces) -> GraphInputs:
    """What each input of a graph holds, by its name.

    Raises:
        InputError: an input is not in the contract, or does not fit the environment.
    """
    outputs = {output.name for output in graph.outputs}
    by_name = {tensor.name: tensor for tensor in graph.inputs}
    mask, episode_start = by_name.pop("mask", None), by_name.pop("episode_start", None)
    memory = tuple(tensor for tensor in by_name.values() if f"next_{tensor.name}" in outputs)
    remaining = [tensor for tensor in by_name.values() if tensor not in memory]
    observations = _observations(remaining, graph, spec, spaces)
    fixed_rows = {int(t.shape[0]) for t in graph.inputs if t.shape and isinstance(t.shape[0], int)}
    rows = ROWS
    if fixed_rows:
        rows = max(fixed_rows)
        if len(fixed_rows) > 1 or not all(t.shape and isinstance(t.shape[0], int) for t in graph.inputs):
            raise InputError(
                f"policy {spec!r} takes inputs with different numbers of rows: export it with a first dimension that "
                "is free in all of them"
            )
        if not 1 <= rows <= MAX_FIXED_ROWS:
            raise InputError(
                f"policy {spec!r} takes batches of exactly {rows}: export it with a first dimension that is free"
            )
    if mask is not None:
        n_actions = int(spaces.action.n) if isinstance(spaces.action, gym.spaces.Discrete) else None
        if mask.type not in _BOOLEANS or len(mask.shape) != 2 or mask.shape[1] != n_actions:
            raise InputError(
                f"policy {spec!r} takes a mask {mask.type} of shape {mask.shape}: it must be booleans or floats "
                f"[N, A] for the A actions of {spaces.title}, which must be Discrete"
            )
    if episode_start is not None and (episode_start.type not in _BOOLEANS or len(episode_start.shape) != 1):
        raise InputError(
            f"policy {spec!r} takes an episode_start {episode_start.type} of shape {episode_start.shape}: "
            "it must be booleans or floats [N]"
        )
    for tensor in memory:
        if tensor.type not in _FLOATS or not tensor.shape or not all(isinstance(d, int) for d in tensor.shape[1:]):
            raise InputError(
                f"policy {spec!r} takes {tensor.name} {tensor.type} of shape {tensor.shape}: what it remembers must "
                "be floats [N, …] with fixed dimensions after the first"
            )
    return GraphInputs(spaces.observation, observations, rows, mask, episode_start, memory)


def _observations(remaining: Sequence[Tensor], graph: OnnxProcess, spec: str, spaces: Spaces) -> dict[str, Tensor]:
    """The inputs that hold observations, by name.

    Raises:
        InputError: they are not those of the environment.
    """
    space = spaces.observation
    is_dict = isinstance(space, gym.spaces.Dict)
    parts = dict(space.items()) if isinstance(space, gym.spaces.Dict) else {t.name: space for t in remaining[:1]}
    names = ", ".join(f"{tensor.name}: {tensor.type}" for tensor in graph.inputs)
    if not all(map(has_arrays, parts.values())):
        raise InputError(
            f"policy {spec!r} takes tensors, but the observations of {spaces.title} are {space_text(space)}"
        )
    if {tensor.name for tensor in remaining} != set(parts) or not all(t.type in _NUMBERS for t in remaining):
        expected = f"one tensor for each of {', '.join(parts)}" if is_dict else "one tensor of floats, observations"
        raise InputError(
            f"policy {spec!r} takes {names or 'nothing'}: it must take {expected}; further "
            "inputs can be `mask`, `episode_start`, and `<name>` for each output `next_<name>`"
        )
    for tensor in remaining:
        part = parts[tensor.name]
        kind = np.dtype(_NUMBERS[tensor.type]).kind
        if kind != "f" and as_it_is(part).dtype is not None and np.dtype(as_it_is(part).dtype).kind == "f":
            raise InputError(f"policy {spec!r} takes {names}: observations of {spaces.title} are floats")
        shape = tuple((tensor.shape or (None,))[1:])
        numbers = isinstance(part, OneHot) and shape in ((), (1,))
        scalar = part.shape == () and shape == (1,)
        if shape != part.shape and not numbers and not scalar:
            own = f"policy {spec!r} takes observations of shape {shape}, but those of {spaces.title}"
            if isinstance(part, OneHot):
                number = f"are numbers, or one-hot vectors of shape {part.shape}"
                raise InputError(f"{own} {number}: name a policy of {spaces.title} that takes either")
            free = any(not isinstance(size, int) for size in shape)
            advice = (
                "export it with that shape after the first dimension" if free else f"name a policy of {spaces.title}"
            )
            raise InputError(f"{own} have the shape {part.shape}: {advice}")
    return {tensor.name: tensor for tensor in remaining}
