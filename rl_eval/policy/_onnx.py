"""`onnx:<file>`: a network in the open exchange format, run by onnxruntime in a process of its own.

The graph takes observations `[N, …]`, and may take more by name, see `_onnx_inputs`. The names of its outputs say
what they hold:

- `action` `[N]` or `[N, …]`: the greedy action, as the environment takes it;
- `logits` or `probabilities` `[N, A]`: of Discrete actions;
- `mean` `[N, …]` and `log_std` `[…]` or `[N, …]`: of a normal distribution over a Box.

A single output of another name is the action where it holds integers, else the mean of a Box, or logits. What
skl2onnx and the guide of Stable-Baselines3 export is known, see `_onnx_outputs`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np

from rl_eval.errors import InputError
from rl_eval.formatting import short_path
from rl_eval.policy._actions import actions_from, checked_actions, legal_where_not
from rl_eval.policy._fixed_batches import filled
from rl_eval.policy._identity import digest
from rl_eval.policy._onnx_external import embedded, external_files
from rl_eval.policy._onnx_inputs import GraphInputs, graph_inputs
from rl_eval.policy._onnx_metadata import METADATA, check_metadata, preprocessing_file, read_preprocessing
from rl_eval.policy._onnx_outputs import GraphOutputs, graph_outputs
from rl_eval.policy._onnx_process import OnnxProcess
from rl_eval.policy._policy import Policy, Spaces
from rl_eval.policy._source import Source

MAX_BYTES = 256 << 20


class OnnxPolicy:
    """A graph in the contract of this module.

    `probabilities` exists where the graph has them and an observation is all that it takes.
    """

    def __init__(
        self,
        graph: OnnxProcess,
        inputs: GraphInputs,
        outputs: GraphOutputs,
        spec: str,
        action: gym.Space,
        seed: int,
    ):
        self._graph, self._inputs, self._spec, self._action = graph, inputs, spec, action
        self._outputs = dict(outputs.names)  # what an output means -> its name in the graph
        self._clipped = outputs.clipped
        self._memory: dict[str, np.ndarray] = {}  # of the copies, by the name of the input
        self._rng = np.random.default_rng(seed)

    @property
    def probabilities(self) -> Callable[[np.ndarray], np.ndarray]:
        """`probabilities(obs) -> [N, A]`, where the graph has them."""
        if not self._has_logits or self._inputs.memory or self._inputs.mask:
            raise AttributeError(f"policy {self._spec!r} has no probabilities")
        return self._probabilities

    @property
    def _has_logits(self) -> bool:
        return bool({"logits", "probabilities"} & self._outputs.keys())

    @property
    def has_memory(self) -> bool:
        """Whether an output of the graph is an input of its next call."""
        return bool(self._inputs.memory)

    def act(
        self,
        obs: np.ndarray,
        greedy: bool,
        mask: np.ndarray | None = None,
        episode_start: np.ndarray | None = None,
    ) -> np.ndarray:
        """Actions `[N]` or `[N, A]`: the most likely when greedy, else a sample; by logits only legal ones.

        Raises:
            InputError: the graph fails, returns something that is not an action, or cannot be sampled.
        """
        outputs = self._run(obs, mask, episode_start)
        if greedy and "action" in outputs:
            actions = checked_actions(outputs["action"], len(obs), self._action, self._spec, clip=self._clipped)
            if mask is not None and isinstance(self._action, gym.spaces.Discrete) and self._has_logits:
                return legal_where_not(actions, self._logits(outputs, len(obs)), self._action, mask)
            return actions
        rng = None if greedy else self._rng
        if isinstance(self._action, gym.spaces.Discrete):
            if self._has_logits:
                return actions_from(self._logits(outputs, len(obs)), np.zeros(()), self._action, rng, mask)
        elif "mean" in outputs and (greedy or "log_std" in outputs):
            std = np.zeros(())
            if rng:
                std = np.exp(outputs["log_std"].reshape(-1, outputs["mean"][0].size))
                std = std[: len(obs)] if len(std) >= len(obs) else std[:1]
            actions = actions_from(outputs["mean"].reshape(len(obs), -1), std, self._action, rng)
            return checked_actions(actions, len(obs), self._action, self._spec)
        raise InputError(
            f"policy {self._spec!r} returns only its action, so it cannot be sampled: judge it with `policy: greedy`, "
            f"or export {'its logits' if isinstance(self._action, gym.spaces.Discrete) else 'its mean and log_std'}"
        )

    def _probabilities(self, obs: np.ndarray) -> np.ndarray:
        """Action probabilities `[N, A]`; Discrete actions only."""
        logits = self._logits(self._run(obs, None, None), len(obs))
        shares = np.exp(logits - logits.max(axis=-1, keepdims=True))
        return shares / shares.sum(axis=-1, keepdims=True)

    def _logits(self, outputs: Mapping[str, np.ndarray], n: int) -> np.ndarray:
        name = "logits" if "logits" in outputs else "probabilities"
        values, expected = outputs[name], (n, int(self._action.n))  # type: ignore[attr-defined]
        if values.shape != expected or np.isnan(values).any() or (name == "probabilities" and (values < 0).any()):
            raise InputError(
                f"policy {self._spec!r} returned {name} of shape {values.shape}: it must return numbers of {expected}"
            )
        with np.errstate(divide="ignore"):
            return values if name == "logits" else np.log(values)

    def _run(self, obs: np.ndarray, mask: np.ndarray | None, episode_start: np.ndarray | None) -> dict[str, np.ndarray]:
        arrays = self._inputs.arrays(obs, mask, episode_start, self._memory)
        inputs = {name: filled(array, self._inputs.rows) for name, array in arrays.items()}
        answers = self._graph.run(inputs, [*self._outputs.values(), *self._inputs.memory_outputs], self._inputs.rows)
        rows = max(map(len, inputs.values()))
        # a log_std may be one for all rows; any other answer of another length is reported as it is
        answers = [
            array[: len(obs)] if array.shape[:1] == (rows,) and name != "log_std" else array
            for name, array in zip([*self._outputs, *self._inputs.memory_outputs], answers, strict=True)
        ]
        outputs = dict(zip(self._outputs, answers, strict=False))
        for tensor, array in zip(self._inputs.memory, answers[len(outputs) :], strict=True):
            if array.shape != arrays[tensor.name].shape:
                raise InputError(
                    f"policy {self._spec!r} returned next_{tensor.name} of shape {array.shape}: it must have that of "
                    f"{tensor.name}, {arrays[tensor.name].shape}"
                )
            self._memory[tensor.name] = array
        for name in ("mean", "log_std"):
            if name in outputs and not np.isfinite(outputs[name]).all():
                raise InputError(f"policy {self._spec!r} returned a {name} that is not finite")
        return outputs


def load_onnx(file: str, spec: str, spaces: Spaces, seed: int) -> Policy:
    """The graph in a file, checked against the environment; nothing outside its folder is read.

    Raises:
        InputError: missing, too large, damaged, not in the contract, or for another environment.
    """
    graph = read_graph(Path(file), spec)
    check_metadata(graph.metadata, spec, spaces)
    inputs = graph_inputs(graph, spec, spaces)
    outputs = graph_outputs(graph.outputs, inputs.memory_outputs, spec, spaces)
    return OnnxPolicy(graph, inputs, outputs, spec, spaces.action, seed)


def read_graph(file: Path, spec: str) -> OnnxProcess:
    """The graph in a file, loaded by another process.

    Raises:
        InputError: missing, too large or damaged.
    """
    if not file.is_file():
        raise InputError(f"policy {spec!r}: the file {file} does not exist")
    if file.stat().st_size > MAX_BYTES:
        raise InputError(f"policy {spec!r}: {file} is larger than {MAX_BYTES >> 20} MiB, the limit")
    return OnnxProcess(embedded(file, file.read_bytes(), spec, MAX_BYTES), spec, METADATA)


class OnnxSource(Source):
    """An ONNX file."""

    prefix = "onnx"
    usage = "onnx:<file>"
    acts_alone = True
    files: ClassVar[Mapping[str, str]] = {".onnx": "onnx:{file}"}

    def load(self, rest: str, spec: str, spaces: Spaces, config: Any, seed: int) -> Policy:
        """The graph, checked against the environment."""
        return load_onnx(rest, spec, spaces, seed)

    def preprocessing(self, rest: str, spec: str) -> Mapping[str, Any] | None:
        """What `rl-eval export` took from the run."""
        return read_preprocessing(read_graph(Path(rest), spec).metadata, Path(rest), spec)

    def identity(self, rest: str) -> str | None:
        """A hash of the bytes of the file, of its weights in other files, and of preprocessing next to it."""
        file = Path(rest)
        preprocessing = preprocessing_file(file)
        weights = external_files(file, f"{self.prefix}:{rest}", MAX_BYTES)
        return digest(self.prefix, file, *weights, *([preprocessing] if preprocessing.is_file() else []))

    def is_cacheable(self, rest: str) -> bool:
        """Yes: a graph refers to no code, and only to files in its folder, which its identity covers."""
        return True

    def canonical(self, rest: str) -> str:
        """The file."""
        return str(short_path(rest)) if rest else rest
