"""The actor-critic network as a torch module, its distributions over actions, and its weights as arrays."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import gymnasium as gym
import numpy as np
import torch
from torch import Tensor, nn

from agents.action_masks import ILLEGAL
from agents.config import NetworkConfig, QNetworkConfig
from agents.network_bodies import registered_body

ACTIVATIONS: dict[str, type[nn.Module]] = {"tanh": nn.Tanh, "relu": nn.ReLU, "silu": nn.SiLU, "gelu": nn.GELU}


def orthogonal(layer: nn.Linear, gain: float, rng: np.random.Generator) -> nn.Linear:
    """Orthogonal rows or columns times `gain`, zero bias, drawn from a numpy generator.

    Saxe et al. 2014; the gains √2, .01 (policy head) and 1 (value head) are those that Engstrom et al.
    2020 and Andrychowicz et al. 2021 found to matter.
    """
    rows, columns = layer.weight.shape
    q, r = np.linalg.qr(rng.standard_normal((max(rows, columns), min(rows, columns))))
    q *= np.sign(np.diag(r))  # makes the draw uniform over orthogonal matrices
    weight = q if rows >= columns else q.T
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(weight * gain))
        layer.bias.zero_()
    return layer


def xavier(layer: nn.Linear, rng: np.random.Generator) -> nn.Linear:
    """Uniform weights in ±√(6 / (inputs + outputs)), zero bias, drawn from a numpy generator.

    Glorot and Bengio, *Understanding the difficulty of training deep feedforward neural networks*, 2010, eq. 16.
    """
    bound = math.sqrt(6 / sum(layer.weight.shape))
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(rng.uniform(-bound, bound, tuple(layer.weight.shape))))
        layer.bias.zero_()
    return layer


def linear(
    inputs: int, outputs: int, gain: float, config: NetworkConfig | QNetworkConfig, rng: np.random.Generator
) -> nn.Linear:
    """A linear layer with first weights as the config says; `gain` is only for orthogonal ones."""
    layer = nn.Linear(inputs, outputs)
    return xavier(layer, rng) if config.init == "xavier" else orthogonal(layer, gain, rng)


def start_from_prior(head: nn.Linear, prior: Sequence[tuple[int, float]]) -> None:
    """Set the weights of a policy over A ordered actions so that its logits are (2a / (A − 1) − 1) · Σ wᵢ xᵢ.

    The expected action then rises with the weighted sum of these features, and depends on nothing else.

    Args:
        prior: pairs (i, wᵢ).
    """
    slopes = torch.linspace(-1.0, 1.0, head.out_features)
    with torch.no_grad():
        head.weight.zero_()
        head.bias.zero_()
        for feature, weight in prior:
            head.weight[:, feature] = weight * slopes


def body(
    inputs: int, config: NetworkConfig | QNetworkConfig, rng: np.random.Generator, dropout: float = 0.0
) -> tuple[nn.Module, int]:
    """The hidden layers over `inputs` features, and how many outputs they have.

    Raises:
        ValueError: the config names a registered body that cannot be used.
    """
    if config.body is not None:
        return registered_body(config.body, config.body_kwargs, inputs, rng)
    layers: list[nn.Module] = []
    for width in config.widths:
        layers.append(linear(inputs, width, math.sqrt(2), config, rng))
        if config.norm == "layer":
            layers.append(nn.LayerNorm(width))
        elif config.norm == "batch":
            layers.append(nn.BatchNorm1d(width))
        layers.append(ACTIVATIONS[config.activation]())
        if dropout:
            layers.append(nn.Dropout(dropout))
        inputs = width
    return nn.Sequential(*layers), inputs


class ActorCritic(nn.Module):
    """Observations `[B, D]` to action parameters `[B, A]` and values `[B]`.

    For Discrete actions the parameters are logits. For Box they are means, and `log_std` `[A]` does not depend on the
    observation.
    """

    def __init__(
        self,
        obs_size: int,
        action_space: gym.Space,
        config: NetworkConfig,
        rng: np.random.Generator,
        log_std_init: float = 0.0,
    ):
        super().__init__()
        self.config = config
        self.discrete = isinstance(action_space, gym.spaces.Discrete)
        size = int(gym.spaces.flatdim(action_space))
        self.actor_body, features = body(obs_size, config, rng, config.dropout)
        self.critic_body = self.actor_body if config.shared else body(obs_size, config, rng, config.dropout)[0]
        self.actor_head = linear(features, size, 0.01, config, rng)
        self.critic_head = linear(features, 1, 1.0, config, rng)
        if config.prior:
            start_from_prior(self.actor_head, config.prior)
        if not self.discrete:
            self.log_std = nn.Parameter(torch.full((size,), float(log_std_init)))

    def parameters_of_actions(self, obs: Tensor, mask: Tensor | None = None) -> Tensor:
        """Logits or means `[B, A]`; the logits of actions that a bool mask `[B, A]` leaves out are `ILLEGAL`."""
        parameters = self.actor_head(self.actor_body(obs))
        return parameters if mask is None else parameters.masked_fill(~mask, ILLEGAL)

    def values(self, obs: Tensor) -> Tensor:
        """V(s), `[B]`."""
        return self.critic_head(self.critic_body(obs)).squeeze(-1)

    def log_prob_and_entropy(self, parameters: Tensor, actions: Tensor) -> tuple[Tensor, Tensor]:
        """Log-probability of `actions` and entropy of the distribution, both `[B]`."""
        if self.discrete:
            log_p = torch.log_softmax(parameters, dim=-1)
            log_probs = log_p.gather(1, actions.unsqueeze(1)).squeeze(1)
            return log_probs, -(log_p.exp() * log_p).sum(-1)
        z = (actions - parameters) * torch.exp(-self.log_std)
        constant = 0.5 * math.log(2 * math.pi)
        log_p = -(0.5 * z.square() + self.log_std + constant).sum(-1)
        entropy = (self.log_std + 0.5 + constant).sum().expand(len(parameters))
        return log_p, entropy


class Inference:
    """An `ActorCritic` on numpy arrays, only for acting: no gradients, no dropout, batch norm as it is."""

    def __init__(self, network: ActorCritic):
        self._network = network.eval()
        self.log_std = None if network.discrete else network.log_std.detach().cpu().numpy()

    @torch.inference_mode()
    def parameters_of_actions(self, inputs: np.ndarray) -> np.ndarray:
        """Logits or means `[B, A]`."""
        return self._network.parameters_of_actions(torch.from_numpy(inputs)).numpy()

    @torch.inference_mode()
    def values(self, inputs: np.ndarray) -> np.ndarray:
        """V(s), `[B]`."""
        return self._network.values(torch.from_numpy(inputs)).numpy()


def arrays_of(module: nn.Module) -> dict[str, np.ndarray]:
    """Parameters and buffers by name; a shared body is stored once."""
    stored: set[int] = set()
    arrays = {}
    for name, tensor in module.state_dict(keep_vars=True).items():
        if id(tensor) not in stored:
            stored.add(id(tensor))
            arrays[name] = tensor.detach().cpu().numpy().copy()
    return arrays


def load_arrays(module: nn.Module, arrays: Mapping[str, np.ndarray]) -> None:
    """Copy arrays from `arrays_of` into a module.

    Raises:
        ValueError: a name or shape differs from the module's.
    """
    names = arrays_of(module).keys()
    if names != arrays.keys():
        raise ValueError(f"weights differ in {sorted(names ^ arrays.keys())}")
    tensors = dict(module.state_dict(keep_vars=True))
    with torch.no_grad():
        for name, array in arrays.items():
            if tensors[name].shape != array.shape:
                raise ValueError(f"weight {name} has shape {array.shape}, expected {tuple(tensors[name].shape)}")
            tensors[name].copy_(torch.from_numpy(np.asarray(array)))
