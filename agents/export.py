"""Trained networks as ONNX files, built node by node: standard operators only, and no tracing."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, cast

import gymnasium as gym
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from agents import policy, q_policy
from agents.checkpoint_arrays import unpack_moments
from agents.encoding import Encoding
from agents.networks import ActorCritic
from agents.normalize import Moments
from agents.policy import restore_action_space
from agents.q_network import CandidateAttention, GroupAttention, QNetwork

# The first operator set with LayerNormalization; any later runtime reads it.
OPSET = 17
IR_VERSION = 8
EPSILON = 1e-8  # of `normalize.normalize`


class _Graph:
    """Nodes and constants in the order of the computation; `current` names the output of the latest node."""

    def __init__(self, start: str):
        self.current = start
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[TensorProto] = []

    def constant(self, value: Any, dtype: Any = np.float32) -> str:
        """Put an array into the file; returns its name."""
        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def apply(
        self, operator: str, *inputs: str, first: str | None = None, output: str | None = None, **attributes: Any
    ) -> str:
        """One operator on the current tensor, or on `first`, and others; returns the name of the result."""
        result = output or f"{operator.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, [first or self.current, *inputs], [result], **attributes))
        self.current = result
        return result


def actor_to_onnx(arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any], description: Mapping[str, Any]) -> bytes:
    """The actor of a snapshot of PPO or A2C as the bytes of an ONNX file.

    The graph takes `observations` float32 `[N, *obs_shape]` and gives `action`, the greedy action as the environment
    takes it (`[N]` int64, or `[N, *shape]` clipped to the Box), with `logits` `[N, A]`, or `mean` `[N, A]` and
    `log_std` `[A]`. Observations are normalised in float64, as in training.

    Args:
        arrays, meta: from `policy.pack` and `policy.metadata`.
        description: JSON values put into the file's metadata under `rl_eval`.

    Raises:
        ValueError: the arrays do not fit the network that the metadata describes, it has a layer or a body that
            cannot be exported, or it chooses among masked actions.
    """
    _refuse(meta)
    network, space = policy.restore(arrays, meta), restore_action_space(meta["action_space"])
    graph = _inputs(arrays, meta)
    _layers(graph, [*network.actor_body.children(), network.actor_head])
    outputs = _discrete(graph, space) if isinstance(space, gym.spaces.Discrete) else _box(graph, space, network)
    return _model(graph, meta, outputs, description)


def q_network_to_onnx(
    arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any], description: Mapping[str, Any]
) -> bytes:
    """The Q-network of a snapshot of DQN as the bytes of an ONNX file.

    As `actor_to_onnx`, with `q_values` `[N, A]` in the units of the training reward, in addition to `action`.

    Args:
        arrays, meta: from `q_policy.pack` and `q_policy.metadata`.
        description: JSON values put into the file's metadata under `rl_eval`.

    Raises:
        ValueError: as `actor_to_onnx`.
    """
    _refuse(meta)
    network, space = q_policy.restore(arrays, meta), restore_action_space(meta["action_space"])
    graph = _inputs(arrays, meta)
    outputs = _q_values(graph, space, cast(QNetwork, network), float(meta["reward_deviation"]))
    return _model(graph, meta, outputs, description)


def _refuse(meta: Mapping[str, Any]) -> None:
    if "agents" in meta:
        raise ValueError("policies of several agents cannot be exported")
    if meta["action_masks"]:
        raise ValueError("it was trained with action masks, which the ONNX file would not obey")
    if (body := meta["network"].get("body")) is not None:
        raise ValueError(f"its network has the body {body!r} of a plugin, which cannot be exported")


def _inputs(arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> _Graph:
    """A graph from observations to what the network takes."""
    graph = _Graph("observations")
    graph.apply("Reshape", graph.constant([-1, int(np.prod(meta["obs_shape"]))], np.int64))
    obs, obs_moments, encoding = graph.current, unpack_moments("obs", arrays), Encoding.from_arrays(arrays)
    if obs_moments is not None:
        _normalize(graph, obs_moments, float(meta["clip_obs"]))
    if encoding is not None:
        normalized = graph.current
        graph.apply("Gather", graph.constant(encoding.columns, np.int64), first=obs, axis=1)
        graph.apply("Sub", graph.constant(encoding.low))
        graph.apply("Div", graph.constant(encoding.width))
        positions = graph.apply("Clip", graph.constant(0.0), graph.constant(1.0))
        graph.apply("Concat", positions, first=normalized, axis=1)
    return graph


def _model(
    graph: _Graph, meta: Mapping[str, Any], outputs: list[onnx.ValueInfoProto], description: Mapping[str, Any]
) -> bytes:
    """The checked file of a graph."""
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "policy",
            [helper.make_tensor_value_info("observations", TensorProto.FLOAT, ["N", *meta["obs_shape"]])],
            outputs,
            graph.constants,
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="rl_eval",
    )
    helper.set_model_props(model, {"rl_eval": json.dumps(description, allow_nan=False)})
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString(deterministic=True)


def _normalize(graph: _Graph, moments: Moments, clip: float) -> None:
    """`normalize.normalize`, in float64 too: float32 would lose a large mean over a small deviation."""
    graph.apply("Cast", to=TensorProto.DOUBLE)
    graph.apply("Sub", graph.constant(moments.mean.reshape(-1), np.float64))
    graph.apply("Div", graph.constant(np.sqrt(moments.variance + EPSILON).reshape(-1), np.float64))
    graph.apply("Clip", graph.constant(-clip, np.float64), graph.constant(clip, np.float64))
    graph.apply("Cast", to=TensorProto.FLOAT)


def _array(tensor: Any) -> np.ndarray:
    return tensor.detach().cpu().numpy()


def _layers(graph: _Graph, layers: Iterable[nn.Module]) -> None:
    for layer in layers:
        match layer:
            case nn.Linear():
                weights = graph.constant(_array(layer.weight))
                graph.apply("Gemm", weights, graph.constant(_array(layer.bias)), transB=1)
            case nn.LayerNorm():
                scale, shift = graph.constant(_array(layer.weight)), graph.constant(_array(layer.bias))
                graph.apply("LayerNormalization", scale, shift, axis=-1, epsilon=layer.eps)
            case nn.BatchNorm1d():
                parts = (layer.weight, layer.bias, layer.running_mean, layer.running_var)
                graph.apply("BatchNormalization", *(graph.constant(_array(p)) for p in parts), epsilon=layer.eps)
            case nn.Tanh():
                graph.apply("Tanh")
            case nn.ReLU():
                graph.apply("Relu")
            case nn.SiLU():
                x = graph.current
                graph.apply("Mul", graph.apply("Sigmoid"), first=x)
            case nn.GELU():  # x/2 · (1 + erf(x/√2)): opset 17 has no operator for it
                x = graph.current
                graph.apply("Div", graph.constant(np.sqrt(2)))
                graph.apply("Erf")
                graph.apply("Add", graph.constant(1))
                graph.apply("Mul", x)
                graph.apply("Mul", graph.constant(0.5))
            case nn.Dropout():
                pass  # in updates only
            case _:
                raise ValueError(f"a layer of {type(layer).__name__} cannot be exported")


def _discrete(graph: _Graph, space: gym.spaces.Discrete, scores: str = "logits") -> list[onnx.ValueInfoProto]:
    """The current tensor `[N, A]` as the output `scores`, and the index of its largest number as the action."""
    graph.apply("Identity", output=scores)
    graph.apply("ArgMax", axis=-1, keepdims=0)
    graph.apply("Add", graph.constant(space.start, np.int64), output="action")
    return [
        helper.make_tensor_value_info("action", TensorProto.INT64, ["N"]),
        helper.make_tensor_value_info(scores, TensorProto.FLOAT, ["N", int(space.n)]),
    ]


def _q_values(graph: _Graph, space: gym.Space, network: QNetwork, deviation: float) -> list[onnx.ValueInfoProto]:
    assert isinstance(space, gym.spaces.Discrete)
    if isinstance(network.attention, CandidateAttention):
        raise ValueError("its network scores candidates, which does not become ONNX nodes")
    if network.attention is not None:
        _attention(graph, network.attention)
    _layers(graph, [*network.body.children(), network.head])
    if network.dueling:  # V + A − mean A
        outputs = graph.current
        value = _slice(graph, outputs, int(space.n), int(space.n) + 1)
        advantages = _slice(graph, outputs, 0, int(space.n))
        graph.apply("ReduceMean", axes=[1], keepdims=1)
        graph.apply("Sub", graph.current, first=advantages)
        graph.apply("Add", value)
    graph.apply("Mul", graph.constant(deviation))
    return _discrete(graph, space, "q_values")


def _slice(graph: _Graph, tensor: str, start: int, stop: int) -> str:
    """Columns of a tensor `[N, …]`."""
    return graph.apply("Slice", *(graph.constant([number], np.int64) for number in (start, stop, 1)), first=tensor)


def _attention(graph: _Graph, attention: GroupAttention) -> None:
    """`q_network.GroupAttention`: tokens, then one block of multi-head attention with a residual connection."""
    obs, start, tokens = graph.current, 0, []
    for size, layer in zip(attention.groups, attention.tokens, strict=True):
        _slice(graph, obs, start, start + size)
        _layers(graph, [layer])
        tokens.append(graph.apply("Unsqueeze", graph.constant([1], np.int64)))
        start += size
    residual = graph.apply("Concat", *tokens[1:], first=tokens[0], axis=1)
    _layers(graph, [attention.norm])
    normed, groups, heads = graph.current, len(attention.groups), attention.heads
    by_head = graph.constant([-1, groups, heads, attention.out.in_features // heads], np.int64)

    def projected(layer: nn.Linear, order: list[int]) -> str:
        graph.apply("MatMul", graph.constant(_array(layer.weight).T), first=normed)
        graph.apply("Add", graph.constant(_array(layer.bias)))
        graph.apply("Reshape", by_head)
        return graph.apply("Transpose", perm=order)

    query, value = (projected(layer, [0, 2, 1, 3]) for layer in (attention.query, attention.value))
    key = projected(attention.key, [0, 2, 3, 1])
    graph.apply("MatMul", key, first=query)
    graph.apply("Div", graph.constant(np.sqrt(attention.out.in_features // heads)))
    graph.apply("Softmax", axis=-1)
    graph.apply("MatMul", value)
    graph.apply("Transpose", perm=[0, 2, 1, 3])
    graph.apply("Reshape", graph.constant([-1, groups, attention.out.in_features], np.int64))
    graph.apply("MatMul", graph.constant(_array(attention.out.weight).T))
    graph.apply("Add", graph.constant(_array(attention.out.bias)))
    graph.apply("Add", residual)
    graph.apply("Reshape", graph.constant([-1, groups * attention.out.in_features], np.int64))


def _box(graph: _Graph, space: gym.Space, network: ActorCritic) -> list[onnx.ValueInfoProto]:
    assert isinstance(space, gym.spaces.Box)
    size = int(np.prod(space.shape))
    mean = graph.apply("Identity", output="mean")
    graph.apply("Identity", first=graph.constant(_array(network.log_std)), output="log_std")
    graph.apply("Max", graph.constant(space.low.reshape(-1)), first=mean)
    graph.apply("Min", graph.constant(space.high.reshape(-1)))
    graph.apply("Reshape", graph.constant([-1, *space.shape], np.int64), output="action")
    return [
        helper.make_tensor_value_info("action", TensorProto.FLOAT, ["N", *space.shape]),
        helper.make_tensor_value_info("mean", TensorProto.FLOAT, ["N", size]),
        helper.make_tensor_value_info("log_std", TensorProto.FLOAT, [size]),
    ]
