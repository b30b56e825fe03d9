"""Elastic weight consolidation: weights that mattered for what was learned before are held near their values.

Kirkpatrick et al., *Overcoming catastrophic forgetting in neural networks*, PNAS 2017 (arXiv 1612.00796), eq. 3:

    L(θ) = L_new(θ) + ½ λ Σᵢ Fᵢ (θᵢ − θ*ᵢ)²

with θ* the weights after the earlier learning and F the diagonal of the Fisher information there. Of several earlier
periods one F is kept, which adds up with a decay, and θ* is the latest (online EWC: Schwarz et al., *Progress and
compress*, ICML 2018, arXiv 1805.06370, eq. 9). So nothing of the earlier data has to be kept.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from agents.networks import ActorCritic

EXACT_ACTIONS = 16  # up to so many discrete actions the expectation over them is a sum, beyond it is drawn
DRAWS = 16  # actions of each observation


@dataclass(frozen=True)
class ElasticWeights:
    """What holds the weights of one network.

    Attributes:
        strength: λ, at least 0.
        anchor: θ*, float32 `[P]`.
        fisher: F, float32 `[P]`, at least 0.
    """

    strength: float
    anchor: Tensor
    fisher: Tensor

    def __post_init__(self) -> None:
        if not self.strength >= 0.0 or self.strength == float("inf"):
            raise ValueError(f"the strength of elastic weights is {self.strength}: give a number of at least 0")
        if self.anchor.shape != self.fisher.shape:
            shapes = f"{tuple(self.anchor.shape)} and {tuple(self.fisher.shape)}"
            raise ValueError(f"weights and their Fisher information have the shapes {shapes}: both must be [P]")
        if not bool(torch.isfinite(self.fisher).all()) or bool((self.fisher < 0).any()):
            raise ValueError("the Fisher information of a weight is negative or not finite: estimate it again")

    def penalty(self, parameter: Tensor) -> float:
        """½ λ Σ F (θ − θ*)² at weights `[P]`."""
        return 0.5 * self.strength * float((self.fisher * (parameter.detach() - self.anchor).square()).sum())

    def add_gradient(self, parameter: Tensor, gradient: Tensor) -> None:
        """Add the penalty's gradient λ F (θ − θ*) to `gradient` `[P]` in place."""
        gradient.addcmul_(self.fisher, parameter.detach() - self.anchor, value=self.strength)


def hold(
    parameter: Tensor, strength: float, fisher: np.ndarray, earlier: np.ndarray | None = None, decay: float = 1.0
) -> ElasticWeights:
    """Hold weights where they are now.

    Args:
        parameter: `[P]`.
        strength: λ.
        fisher: `[P]`, of what was learned last.
        earlier: `[P]`, what the last call held; None: nothing was learned before.
        decay: in [0, 1], how much of it remains.

    Raises:
        ValueError: a shape or a value makes no sense.
    """
    if not 0.0 <= decay <= 1.0:
        raise ValueError(f"decay={decay} is outside [0, 1]")
    total = np.asarray(fisher, np.float32)
    if earlier is not None:
        if np.shape(earlier) != total.shape:
            raise ValueError(f"the earlier Fisher information has the shape {np.shape(earlier)}, not {total.shape}")
        total = total + np.float32(decay) * np.asarray(earlier, np.float32)
    at = parameter.detach()
    return ElasticWeights(strength, at.clone(), torch.from_numpy(total.copy()).to(at.device))


def mean_squared_gradients(network: nn.Module, scores: Callable[[Tensor], Tensor], inputs: Tensor) -> np.ndarray:
    """Mean over rows of Σₖ (∂ scoreₖ / ∂θ)², float32 `[P]` in the order of the network's parameters.

    The gradients of a row have to be squared before they are added, so each is taken on its own.

    Args:
        scores: network inputs `[1, D]` to scores `[K]` of that row.
        inputs: `[B, D]`.
    """
    parameters = list(network.parameters())
    total = [torch.zeros_like(p) for p in parameters]
    for row in inputs.split(1):
        values = scores(row)
        for k, value in enumerate(values):
            gradients = torch.autograd.grad(value, parameters, retain_graph=k + 1 < len(values), allow_unused=True)
            for into, gradient in zip(total, gradients, strict=True):
                if gradient is not None:
                    into.addcmul_(gradient, gradient)
    return torch.cat([part.flatten() for part in total]).div_(max(len(inputs), 1)).cpu().numpy()


def actor_critic_fisher(network: ActorCritic, inputs: Tensor, masks: Tensor | None) -> np.ndarray:
    """F of an actor-critic, float32 `[P]`.

    F of the actor is E[(∂ log π(a | s) / ∂θ)²] over its own actions, that of the critic E[(∂V(s) / ∂θ)²], as of a
    normal variable of variance 1.

    Args:
        inputs: `[B, D]` as the network takes them.
        masks: bool `[B, A]`, the actions that were legal; None: all.
    """
    rng = np.random.default_rng(0)
    legal = None if masks is None else iter(masks.split(1))

    def scores(row: Tensor) -> Tensor:
        mask = None if legal is None else next(legal)
        value, parameters = network.values(row), network.parameters_of_actions(row, mask)
        if not network.discrete:
            noise = torch.from_numpy(rng.standard_normal((DRAWS, parameters.shape[1]), np.float32)).to(row.device)
            actions = (parameters + network.log_std.exp() * noise).detach()
            log_probs, _ = network.log_prob_and_entropy(parameters.expand(DRAWS, -1), actions)
            return torch.cat([value, log_probs / DRAWS**0.5])
        log_p = torch.log_softmax(parameters, dim=-1)[0]
        p = log_p.detach().exp()
        if len(p) <= EXACT_ACTIONS:  # √p, since the gradient is squared
            return torch.cat([value, log_p[p > 0] * p[p > 0].sqrt()])
        shares = p.double().cpu().numpy()
        drawn = torch.from_numpy(rng.choice(len(shares), DRAWS, p=shares / shares.sum())).to(row.device)
        return torch.cat([value, log_p[drawn] / DRAWS**0.5])

    return mean_squared_gradients(network, scores, inputs)


def q_network_fisher(network: nn.Module, inputs: Tensor, masks: Tensor | None) -> np.ndarray:
    """F of action values, float32 `[P]`.

    It is E[Σₐ (∂Q(s, a) / ∂θ)²] over legal actions, as of normal variables of variance 1.

    Args:
        inputs, masks: as of `actor_critic_fisher`.
    """
    legal = None if masks is None else iter(masks)

    def scores(row: Tensor) -> Tensor:
        values = network(row)[0]
        return values if legal is None else values[next(legal)]

    return mean_squared_gradients(network, scores, inputs)
