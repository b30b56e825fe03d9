"""What the inputs of a graph hold: observations, the action mask, where episodes start, and the policy's memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import gymnasium as gym
import numpy as np

from rl_eval.errors import InputError
from rl_eval.policy._onnx_process import OnnxProcess, Tensor
from rl_eval.policy._policy import Spaces, starts

_FLOATS = {"tensor(float)": np.float32, "tensor(double)": np.float64}
_BOOLEANS = {"tensor(bool)": np.bool_, **_FLOATS}


@dataclass(frozen=True)
class GraphInputs:
    """The inputs of a graph by what they hold.

    Attributes:
        observations: `[N, …]`.
        mask: `[N, A]`, which actions are legal; None: the graph does not take it.
        episode_start: `[N]`; None: the graph does not take it.
        memory: each `[N, …]`; the output `next_<name>` is what the input `<name>` holds in the next call.
    """

    observations: Tensor
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
        batch = np.ascontiguousarray(obs, _FLOATS[self.observations.type])
        arrays = {self.observations.name: batch.reshape(n, *self.observations.shape[1:])}
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
    if len(remaining) != 1 or remaining[0].type not in _FLOATS:
        names = ", ".join(f"{tensor.name}: {tensor.type}" for tensor in graph.inputs)
        raise InputError(
            f"policy {spec!r} takes {names or 'nothing'}: it must take one tensor of floats, observations; further "
            "inputs can be `mask`, `episode_start`, and `<name>` for each output `next_<name>`"
        )
    observations = remaining[0]
    _check_shape(observations, spec, spaces)
    if mask is not None:
        n_actions = int(spaces.action.n) if isinstance(spaces.action, gym.spaces.Discrete) else None
        if mask.type not in _BOOLEANS or len(mask.shape) != 2 or mask.shape[1] != n_actions:
            raise InputError(
                f"policy {spec!r} takes a mask {mask.type} of shape {mask.shape}: it must be booleans or floats "
                f"[N, A] for the A actions of {spaces.env}, which must be Discrete"
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
    fixed = next((t for t in (mask, episode_start, *memory) if t is not None and isinstance(t.shape[0], int)), None)
    if fixed is not None:
        raise InputError(
            f"policy {spec!r} takes a {fixed.name} of exactly {fixed.shape[0]} rows: export it with a first "
            "dimension that is free"
        )
    return GraphInputs(observations, mask, episode_start, memory)


def _check_shape(observations: Tensor, spec: str, spaces: Spaces) -> None:
    batch, *shape = observations.shape or [None]
    if isinstance(batch, int):
        raise InputError(
            f"policy {spec!r} takes batches of exactly {batch}: export it with a first dimension that is free"
        )
    if tuple(shape) != spaces.observation.shape:
        raise InputError(
            f"policy {spec!r} takes observations of shape {tuple(shape)}, but those of {spaces.env} have "
            f"{spaces.observation.shape}: name a policy of {spaces.env}, with fixed dimensions after the first"
        )
