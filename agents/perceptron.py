"""Plain multi-layer perceptrons on numpy arrays: forward, and backward where they learn.

They are small, so that torch would spend its time between operations, not in them; and a policy that acts through
them is loaded without torch, whose import takes longer than judging it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import gymnasium as gym
import numpy as np

from agents.config import NetworkConfig

_ONE = np.float32(1.0)


def is_plain(config: NetworkConfig) -> bool:
    """Whether a network acts as perceptrons of this module do."""
    return config.norm == "none" and config.activation in ("tanh", "relu")


def _nowhere() -> np.ndarray:
    return np.empty(0, np.float32)  # a network that only acts has no gradient


@dataclass
class Layer:
    """Weights `[out, in]` and biases `[out]`, their gradients, and the input of the latest forward pass."""

    weight: np.ndarray
    bias: np.ndarray
    weight_gradient: np.ndarray = field(default_factory=_nowhere)
    bias_gradient: np.ndarray = field(default_factory=_nowhere)
    inputs: np.ndarray = field(default_factory=_nowhere)


@dataclass
class _Room:
    """Where a pass over B rows writes: hidden values and their gradients, each `[B, width]` a hidden layer."""

    hidden: list[np.ndarray]
    gradients: list[np.ndarray]
    ones: np.ndarray  # [B]

    @classmethod
    def of(cls, rows: int, layers: Sequence[Layer]) -> _Room:
        hidden, gradients = ([np.empty((rows, len(layer.bias)), np.float32) for layer in layers[:-1]] for _ in "hg")
        return cls(hidden, gradients, np.ones(rows, np.float32))


class Perceptron:
    """Linear layers with tanh or ReLU between them: `forward`, then `backward` into their gradients."""

    def __init__(self, layers: Sequence[Layer], activation: str):
        self._layers = list(layers)
        self._tanh = activation == "tanh"
        self._rooms: dict[int, _Room] = {}

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Inputs `[B, D]` to outputs `[B, A]`."""
        *hidden_layers, last = self._layers
        for layer, hidden in zip(hidden_layers, self._room(len(x)).hidden, strict=True):
            layer.inputs = x
            x = np.matmul(x, layer.weight.T, out=hidden)
            x += layer.bias
            x = np.tanh(x, out=x) if self._tanh else np.maximum(x, 0.0, out=x)
        last.inputs = x
        x = x @ last.weight.T
        x += last.bias
        return x

    def backward(self, upstream: np.ndarray) -> None:
        """Write the gradient of a loss whose derivative by the outputs is `upstream` `[B, A]`; once a forward."""
        room = self._room(len(upstream))
        for index in range(len(self._layers) - 1, -1, -1):
            layer = self._layers[index]
            np.matmul(upstream.T, layer.inputs, out=layer.weight_gradient)
            np.matmul(room.ones, upstream, out=layer.bias_gradient)
            if index:
                upstream = np.matmul(upstream, layer.weight, out=room.gradients[index - 1])
                hidden = layer.inputs  # the activation's value: tanh' = 1 − tanh², ReLU' = [ReLU > 0]
                if self._tanh:
                    np.multiply(hidden, hidden, out=hidden)
                    upstream *= np.subtract(_ONE, hidden, out=hidden)
                else:
                    upstream *= hidden > 0.0

    def _room(self, rows: int) -> _Room:
        # Two sizes take turns, collection's and the minibatch's; every other is seen once in a while.
        if rows not in self._rooms:
            if len(self._rooms) > 3:
                self._rooms.clear()
            self._rooms[rows] = _Room.of(rows, self._layers)
        return self._rooms[rows]


class PlainActorCritic:
    """What `networks.ActorCritic` computes, from the arrays of a snapshot.

    Args:
        arrays: weights by the names of `networks.arrays_of`.
        obs_size: D.

    Raises:
        ValueError: a name or shape is not the network's.
    """

    def __init__(self, arrays: Mapping[str, np.ndarray], obs_size: int, action_space: gym.Space, config: NetworkConfig):
        discrete = isinstance(action_space, gym.spaces.Discrete)
        size = int(gym.spaces.flatdim(action_space))
        bodies = {"actor": "actor_body", "critic": "actor_body" if config.shared else "critic_body"}
        shapes: dict[str, tuple[int, ...]] = {} if discrete else {"log_std": (size,)}
        layers: dict[str, list[str]] = {}
        for part, outputs in (("actor", size), ("critic", 1)):
            inputs, names = obs_size, []
            for index, width in enumerate(config.widths):
                names.append(f"{bodies[part]}.{index * (3 if config.dropout else 2)}")  # layer, activation, dropout
                shapes |= {f"{names[-1]}.weight": (width, inputs), f"{names[-1]}.bias": (width,)}
                inputs = width
            names.append(f"{part}_head")
            shapes |= {f"{part}_head.weight": (outputs, inputs), f"{part}_head.bias": (outputs,)}
            layers[part] = names
        if shapes.keys() != arrays.keys():
            raise ValueError(f"weights differ in {sorted(shapes.keys() ^ arrays.keys())}")
        for name, shape in shapes.items():
            if arrays[name].shape != shape:
                raise ValueError(f"weight {name} has shape {arrays[name].shape}, expected {shape}")
        single = {name: np.asarray(array, np.float32) for name, array in arrays.items()}

        def perceptron(names: list[str]) -> Perceptron:
            return Perceptron(
                [Layer(single[f"{name}.weight"], single[f"{name}.bias"]) for name in names], config.activation
            )

        self._actor, self._critic = perceptron(layers["actor"]), perceptron(layers["critic"])
        self.log_std = None if discrete else single["log_std"]

    def parameters_of_actions(self, inputs: np.ndarray) -> np.ndarray:
        """Logits or means `[B, A]`."""
        return self._actor.forward(inputs)

    def values(self, inputs: np.ndarray) -> np.ndarray:
        """V(s), `[B]`."""
        return self._critic.forward(inputs)[:, 0]
