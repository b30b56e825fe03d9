"""Plain multi-layer perceptrons on numpy arrays: forward passes, and backward passes for training.

They are small, so torch would spend its time between operations, not in them. A policy that acts through them is loaded
without torch, whose import takes longer than judging the policy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import gymnasium as gym
import numpy as np

from agents.config import NetworkConfig, QNetworkConfig

_ONE = np.float32(1.0)
Matmul = Callable[..., np.ndarray]  # (a, b, *, out) -> out


def is_plain(config: NetworkConfig | QNetworkConfig) -> bool:
    """Whether a perceptron of this module computes what the network does."""
    if config.body is not None:
        return False
    attention = isinstance(config, QNetworkConfig) and (config.groups or config.candidates)
    return config.norm == "none" and config.activation in ("tanh", "relu") and not attention


def _empty() -> np.ndarray:
    return np.empty(0, np.float32)  # a network that only acts has no gradient


@dataclass
class Layer:
    """Weights `[out, in]` and biases `[out]`, their gradients, and the input of the latest forward pass.

    Those of S networks that are computed together are `[S, out, in]` and `[S, out]`.
    """

    weight: np.ndarray
    bias: np.ndarray
    weight_gradient: np.ndarray = field(default_factory=_empty)
    bias_gradient: np.ndarray = field(default_factory=_empty)
    inputs: np.ndarray = field(default_factory=_empty)


@dataclass
class _Buffers:
    """Arrays that a pass over B rows writes: hidden values and their gradients, one `[B, width]` per hidden layer."""

    hidden: list[np.ndarray]
    gradients: list[np.ndarray]
    ones: np.ndarray  # [B]

    @classmethod
    def allocate(cls, rows: int, layers: Sequence[Layer]) -> _Buffers:
        shapes = [(*layer.bias.shape[:-1], rows, layer.bias.shape[-1]) for layer in layers[:-1]]
        hidden, gradients = ([np.empty(shape, np.float32) for shape in shapes] for _ in "hg")
        return cls(hidden, gradients, np.ones(rows, np.float32))

    def first(self, rows: int) -> _Buffers:
        """The first rows of the same memory."""
        hidden, gradients = ([a[..., :rows, :] for a in arrays] for arrays in (self.hidden, self.gradients))
        return _Buffers(hidden, gradients, self.ones[:rows])


class Perceptron:
    """Linear layers with tanh or ReLU between them: `forward`, then `backward` into their gradients.

    Where the layers are those of S networks, all that is `[B, …]` has S in front of it.

    Args:
        matmul: `a @ b` into `out`.
    """

    def __init__(self, layers: Sequence[Layer], activation: str, matmul: Matmul = np.matmul):
        self._layers = list(layers)
        self._matmul = matmul
        self._tanh = activation == "tanh"
        self._largest = _Buffers.allocate(0, self._layers)
        self._buffers: dict[int, _Buffers] = {}  # by the number of rows

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Inputs `[B, D]` to outputs `[B, A]`."""
        return self.outputs(self.features(x))

    def features(self, x: np.ndarray) -> np.ndarray:
        """Inputs `[B, D]` to what the last layer takes, `[B, F]`."""
        for layer, hidden in zip(self._layers[:-1], self._buffers_of(x.shape[-2]).hidden, strict=True):
            layer.inputs = x
            x = self._matmul(x, layer.weight.swapaxes(-1, -2), out=hidden)
            x += layer.bias[..., None, :]
            x = np.tanh(x, out=x) if self._tanh else np.maximum(x, 0.0, out=x)
        return x

    @property
    def latest_features(self) -> np.ndarray:
        """Those of the latest forward pass."""
        return self._layers[-1].inputs

    def outputs(self, features: np.ndarray) -> np.ndarray:
        """Outputs `[B, A]` of features `[B, F]`."""
        last = self._layers[-1]
        last.inputs = features
        x = features @ last.weight.swapaxes(-1, -2)
        x += last.bias[..., None, :]
        return x

    def backward(self, upstream: np.ndarray, other: tuple[Perceptron, np.ndarray] | None = None) -> None:
        """Write the gradient of a loss whose derivative by the outputs is `upstream` `[B, A]`; once after a forward.

        Args:
            other: a perceptron with the same hidden layers and the derivative by its outputs, which adds to the
                gradient of these layers.
        """
        buffers = self._buffers_of(upstream.shape[-2])
        for index in range(len(self._layers) - 1, -1, -1):
            layer = self._layers[index]
            self._matmul(upstream.swapaxes(-1, -2), layer.inputs, out=layer.weight_gradient)
            np.matmul(buffers.ones, upstream, out=layer.bias_gradient)
            of_other = None
            if other is not None and layer is self._layers[-1]:
                of_other = other[0].backward_last(other[1])
            if index:
                upstream = self._matmul(upstream, layer.weight, out=buffers.gradients[index - 1])
                if of_other is not None:
                    upstream += of_other
                hidden = layer.inputs  # the activation's value: tanh' = 1 − tanh², ReLU' = [ReLU > 0]
                if self._tanh:
                    np.multiply(hidden, hidden, out=hidden)
                    upstream *= np.subtract(_ONE, hidden, out=hidden)
                else:
                    upstream *= hidden > 0.0

    def backward_last(self, upstream: np.ndarray) -> np.ndarray:
        """Write only the gradient of the last layer; returns the derivative by its inputs, `[B, F]`."""
        last = self._layers[-1]
        np.matmul(upstream.swapaxes(-1, -2), last.inputs, out=last.weight_gradient)
        np.matmul(self._buffers_of(upstream.shape[-2]).ones, upstream, out=last.bias_gradient)
        return upstream @ last.weight

    def _buffers_of(self, rows: int) -> _Buffers:
        # The same memory again and again, since new memory is slow to get; a few batch sizes take turns.
        if rows not in self._buffers:
            if rows > len(self._largest.ones) or len(self._buffers) > 3:
                self._buffers.clear()
            if rows > len(self._largest.ones):
                self._largest = _Buffers.allocate(rows, self._layers)
            self._buffers[rows] = self._largest.first(rows)
        return self._buffers[rows]


class PlainActorCritic:
    """`networks.ActorCritic` on numpy, from the arrays of a snapshot.

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
        weights = _checked(arrays, shapes)
        self._actor = _perceptron(weights, layers["actor"], config.activation)
        self._critic = _perceptron(weights, layers["critic"], config.activation)
        self.log_std = None if discrete else weights["log_std"]

    def parameters_of_actions(self, inputs: np.ndarray) -> np.ndarray:
        """Logits or means `[B, A]`."""
        return self._actor.forward(inputs)

    def values(self, inputs: np.ndarray) -> np.ndarray:
        """V(s), `[B]`."""
        return self._critic.forward(inputs)[:, 0]


class ActionValues(Protocol):
    """A Q-network on numpy arrays."""

    def q_values(self, inputs: np.ndarray) -> np.ndarray:
        """Inputs `[B, D]` to Q `[B, A]`."""


class PlainQ:
    """Q-values `[B, A]` of a perceptron: its outputs, or, dueling, those of advantages and then the state's value.

    Wang et al., *Dueling network architectures*, ICML 2016, eq. 9: Q = V + A − mean A, so that what is added to V has
    a mean of 0.
    """

    def __init__(self, perceptron: Perceptron, dueling: bool):
        self._perceptron, self._dueling = perceptron, dueling

    @classmethod
    def from_arrays(
        cls, arrays: Mapping[str, np.ndarray], obs_size: int, actions: int, config: QNetworkConfig, dueling: bool
    ) -> PlainQ:
        """`q_network.QNetwork` on numpy, from the arrays of a snapshot.

        Raises:
            ValueError: a name or shape is not the network's.
        """
        names = [f"body.{2 * index}" for index in range(len(config.widths))] + ["head"]  # layer, activation
        sizes = [obs_size, *config.widths, actions + dueling]
        shapes: dict[str, tuple[int, ...]] = {}
        for name, inputs, outputs in zip(names, sizes, sizes[1:], strict=False):
            shapes |= {f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)}
        return cls(_perceptron(_checked(arrays, shapes), names, config.activation), dueling)

    def q_values(self, inputs: np.ndarray) -> np.ndarray:
        """Inputs `[B, D]` to Q `[B, A]`."""
        outputs = self._perceptron.forward(inputs)
        if not self._dueling:
            return outputs
        advantages = outputs[:, :-1]
        return outputs[:, -1:] + (advantages - advantages.mean(axis=1, keepdims=True))

    def backward(self, upstream: np.ndarray) -> None:
        """Write the gradient of a loss whose derivative by Q is `upstream` `[B, A]`; once after a forward."""
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


def _perceptron(arrays: Mapping[str, np.ndarray], names: list[str], activation: str) -> Perceptron:
    return Perceptron([Layer(arrays[f"{name}.weight"], arrays[f"{name}.bias"]) for name in names], activation)
