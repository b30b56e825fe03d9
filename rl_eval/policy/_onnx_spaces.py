"""The spaces that an ONNX file is for, where no environment says them: for serving it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np

from rl_eval.errors import InputError
from rl_eval.policy._onnx import read_graph
from rl_eval.policy._policy import Spaces, action_space_from_json

OBSERVATIONS = "observations"


def onnx_spaces(file: str, spec: str) -> Spaces:
    """The spaces in the metadata of an exported policy; else those that the shapes of a graph show.

    Raises:
        InputError: there is no such file, or it does not say what it takes and returns.
    """
    graph = read_graph(Path(file), spec)
    try:
        if graph.metadata is not None:
            meta = json.loads(graph.metadata)
            env, shape = dict(meta["env"]), tuple(int(size) for size in meta["obs_shape"])
            return Spaces(str(env["name"]), _box(shape), action_space_from_json(meta["action_space"]), env.get("id"))
        return Spaces("onnx", _box(_input_shape(graph)), gym.spaces.Discrete(_actions(graph)))
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise InputError(
            f"policy {spec!r} does not say which observations and actions it needs: export it with `rl-eval export "
            "RUN --onnx`, or give its logits a fixed width"
        ) from error


def _box(shape: tuple[int, ...]) -> gym.spaces.Box:
    return gym.spaces.Box(-np.inf, np.inf, shape, np.float32)


def _input_shape(graph: Any) -> tuple[int, ...]:
    """Of one observation; raises ValueError or TypeError where the graph leaves it open."""
    inputs = {tensor.name: tensor for tensor in graph.inputs}
    tensor = inputs.get(OBSERVATIONS) or graph.inputs[0]
    shape = tuple(int(size) for size in tensor.shape[1:])
    if not shape:
        raise ValueError(f"{tensor.name} has no dimensions")
    return shape


def _actions(graph: Any) -> int:
    """How many actions its logits or probabilities are of."""
    outputs = {tensor.name: tensor for tensor in graph.outputs}
    for name in ("logits", "probabilities"):
        if name in outputs:
            return int(outputs[name].shape[-1])
    (output,) = graph.outputs
    return int(output.shape[-1])
