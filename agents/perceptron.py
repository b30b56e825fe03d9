"""Plain multi-layer perceptrons on numpy arrays: forward, and backward where they learn.

They are small, so that torch would spend its time between operations, not in them; and a policy that acts through
them is loaded without torch, whose import takes longer than judging it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import gymnasium as gym
import numpy as np

from agents.config import NetworkConfig, QNetworkConfig

_ONE = np.float32(1.0)
Matmul = Callable[..., np.ndarray]  # (a, b, *, out) -> out


def is_plain(config: NetworkConfig | QNetworkConfig) -> bool:
    """Whether a network acts as perceptrons of this module do."""
    attends = isinstance(config, QNetworkConfig) and config.groups
    return config.norm == "none" and config.activation in ("tanh", "relu") and not attends


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

    def first(self, rows: int) -> _Room:
        """A part of it."""
        return _Room([a[:rows] for a in self.hidden], [a[:rows] for a in self.gradients], self.ones[:rows])


class Perceptron:
    """Linear layers with tanh or ReLU between them: `forward`, then `backward` into their gradients.

    Args:
        matmul: `a @ b` into `out`, for the products that fill an array of ours.
    """

    def __init__(self, layers: Sequence[Layer], activation: str, matmul: Matmul = np.matmul):
        self._layers = list(layers)
        self._matmul = matmul
        self._tanh = activation == "tanh"
        self._largest = _Room.of(0, self._layers)
        self._rooms: dict[int, _Room] = {}

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Inputs `[B, D]` to outputs `[B, A]`."""
        *hidden_layers, last = self._layers
        for layer, hidden in zip(hidden_layers, self._room(len(x)).hidden, strict=True):
            layer.inputs = x
            x = self._matmul(x, layer.weight.T, out=hidden)
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
            self._matmul(upstream.T, layer.inputs, out=layer.weight_gradient)
            np.matmul(room.ones, upstream, out=layer.bias_gradient)
            if index:
                upstream = self._matmul(upstream, layer.weight, out=room.gradients[index - 1])
                hidden = layer.inputs  # the activation's value: tanh' = 1 − tanh², ReLU' = [ReLU > 0]
                if self._tanh:
                    np.multiply(hidden, hidden, out=hidden)
                    upstream *= np.subtract(_ONE, hidden, out=hidden)
                else:
                    upstream *= hidden > 0.0

    def _room(self, rows: int) -> _Room:
        # Memory that was written to before, since the system gives new memory slowly; a few sizes take turns.
        if rows not in self._rooms:
            if rows > len(self._largest.ones) or len(self._rooms) > 3:
                self._rooms.clear()
            if rows > len(self._largest.ones):
                self._largest = _Room.of(rows, self._layers)
            self._rooms[rows] = self._largest.first(rows)
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
        single = _checked(arrays, shapes)
        self._actor, self._critic = (_of(single, layers[part], config.activation) for part in ("actor", "critic"))
        self.log_std = None if discrete else single["log_std"]

    def parameters_of_actions(self, inputs: np.ndarray) -> np.ndarray:
        """Logits or means `[B, A]`."""
        return self._actor.forward(inputs)

    def values(self, inputs: np.ndarray) -> np.ndarray:
        """V(s), `[B]`."""
        return self._critic.forward(inputs)[:, 0]


class PlainQ:
    """Q-values `[B, A]` of a perceptron: its outputs, or, dueling, those of advantages and then the state's value.

    Wang et al., *Dueling network architectures*, ICML 2016, eq. 9: Q = V + A − mean A, so that the advantages
    which are added have a mean of zero.
    """

    def __init__(self, perceptron: Perceptron, dueling: bool):
        self._perceptron, self._dueling = perceptron, dueling

    @classmethod
    def of(
        cls, arrays: Mapping[str, np.ndarray], obs_size: int, actions: int, config: QNetworkConfig, dueling: bool
    ) -> PlainQ:
        """What `q_network.QNetwork` computes, from the arrays of a snapshot.

        Raises:
            ValueError: a name or shape is not the network's.
        """
        names = [f"body.{2 * index}" for index in range(len(config.widths))] + ["head"]  # layer, activation
        sizes = [obs_size, *config.widths, actions + dueling]
        shapes: dict[str, tuple[int, ...]] = {}
        for name, inputs, outputs in zip(names, sizes, sizes[1:], strict=False):
            shapes |= {f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)}
        return cls(_of(_checked(arrays, shapes), names, config.activation), dueling)

    def q_values(self, inputs: np.ndarray) -> np.ndarray:
        """Inputs `[B, D]` to Q `[B, A]`."""
        outputs = self._perceptron.forward(inputs)
        if not self._dueling:
            return outputs
        advantages = outputs[:, :-1]
        return outputs[:, -1:] + (advantages - advantages.mean(axis=1, keepdims=True))

    def backward(self, upstream: np.ndarray) -> None:
        """Write the gradient of a loss whose derivative by Q is `upstream` `[B, A]`; once a forward."""
        if self._dueling:
            total = upstream.sum(axis=1, keepdims=True)
            upstream = np.concatenate([upstream - total / np.float32(upstream.shape[1]), total], axis=1)
        self._perceptron.backward(upstream)


def _checked(arrays: Mapping[str, np.ndarray], shapes: Mapping[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """The arrays as float32, if they have these names and shapes."""
    if shapes.keys() != arrays.keys():
        raise ValueError(f"weights differ in {sorted(shapes.keys() ^ arrays.keys())}")
    for name, shape in shapes.items():
        if arrays[name].shape != shape:
            raise ValueError(f"weight {name} has shape {arrays[name].shape}, expected {shape}")
    return {name: np.asarray(array, np.float32) for name, array in arrays.items()}


def _of(arrays: Mapping[str, np.ndarray], names: list[str], activation: str) -> Perceptron:
    return Perceptron([Layer(arrays[f"{name}.weight"], arrays[f"{name}.bias"]) for name in names], activation)
