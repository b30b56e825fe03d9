"""Loss gradients of plain multi-layer perceptrons written out, on numpy arrays that the network shares.

An eager automatic gradient of a small network spends its time between operations, not in them: at batch 64
this form takes about a seventh of the time. It serves separate actor and critic without normalisation or
dropout, tanh or ReLU, on the CPU; everything else goes through autograd. A test holds the two equal.
"""

from __future__ import annotations

import math

import numpy as np
import torch

from agents.config import NetworkConfig
from agents.masks import masked
from agents.networks import ActorCritic
from agents.perceptron import Layer, Perceptron, is_plain


class FlatParameters:
    """Every parameter of a network in one float32 vector `[P]`, and its gradient in another.

    The network's own parameters and gradients become views of the two, so that clipping and the optimiser
    are a few operations on one vector, and numpy and torch see the same memory.
    """

    def __init__(self, network: torch.nn.Module):
        parameters = list(network.parameters())
        device = parameters[0].device
        size = sum(p.numel() for p in parameters)
        self.parameter = torch.nn.Parameter(torch.empty(size, device=device))
        self.parameter.grad = torch.zeros(size, device=device)
        start = 0
        for p in parameters:
            stop = start + p.numel()
            view = self.parameter.data[start:stop].view(p.shape)
            view.copy_(p.data)
            p.data, p.grad = view, self.parameter.grad[start:stop].view(p.shape)
            start = stop
        self.numpy_gradient = self.parameter.grad.numpy() if device.type == "cpu" else None

    def zero_gradient(self) -> None:
        """Before an autograd backward, which adds."""
        assert self.parameter.grad is not None
        self.parameter.grad.zero_()

    def clip_gradient(self, largest: float) -> float | torch.Tensor:
        """Scale the gradient to at most this 2-norm (Pascanu et al. 2013); returns its norm before."""
        if self.numpy_gradient is None:
            return torch.nn.utils.clip_grad_norm_([self.parameter], largest)
        norm = math.sqrt(float(self.numpy_gradient @ self.numpy_gradient))
        if norm > largest:
            self.numpy_gradient *= largest / (norm + 1e-6)
        return norm


LARGE = 1 << 21  # multiplications; below it a call of torch costs more than its faster product saves


def matmul(a: np.ndarray, b: np.ndarray, *, out: np.ndarray) -> np.ndarray:
    """`a @ b` into `out`, by torch where that is worth a call: its BLAS is a fifth faster than numpy's."""
    if a.size * b.shape[1] < LARGE:
        return np.matmul(a, b, out=out)
    torch.mm(torch.from_numpy(a), torch.from_numpy(b), out=torch.from_numpy(out))
    return out


def perceptron_of(body: torch.nn.Sequential, head: torch.nn.Linear, activation: str) -> Perceptron:
    """Over the memory of a torch one, gradients included."""
    linears = [module for module in (*body, head) if isinstance(module, torch.nn.Linear)]
    layers = []
    for linear in linears:
        weight, bias = linear.weight, linear.bias
        assert weight.grad is not None
        assert bias.grad is not None
        layers.append(Layer(weight.detach().numpy(), bias.detach().numpy(), weight.grad.numpy(), bias.grad.numpy()))
    return Perceptron(layers, activation, matmul)


class ClosedForm:
    """The gradients of the policy-gradient losses of an `ActorCritic`.

    Args:
        network: already behind `FlatParameters`.
        config: of the network.
    """

    def __init__(self, network: ActorCritic, config: NetworkConfig):
        self.actor = perceptron_of(network.actor_body, network.actor_head, config.activation)
        self.critic = perceptron_of(network.critic_body, network.critic_head, config.activation)
        self._log_std: np.ndarray | None = None
        if not network.discrete:
            assert network.log_std.grad is not None
            self._log_std, self._log_std_gradient = network.log_std.detach().numpy(), network.log_std.grad.numpy()

    @staticmethod
    def serves(config: NetworkConfig, device: torch.device) -> bool:
        """Whether this form covers the network."""
        return is_plain(config) and config.dropout == 0.0 and not config.shared and device.type == "cpu"

    def ppo(
        self,
        obs: np.ndarray,
        actions: np.ndarray,
        old_log_probs: np.ndarray,
        advantages: np.ndarray,
        old_values: np.ndarray,
        returns: np.ndarray,
        mask: np.ndarray | None = None,
        *,
        clip_range: float,
        clip_range_vf: float | None,
        vf_coef: float,
        ent_coef: float,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The gradient of PPO's loss (arXiv 1707.06347, eq. 7 and 9) on one minibatch of B rows.

        Returns what its loss is made of, for the log, each `[B]`: log ρ, the squared error of the critic, and
        the entropy.

        L = −mean min(ρA, clip(ρ)A) + vf_coef · mean (V − R)² − ent_coef · mean H, with ρ = π/π_old. By
        log π the first term's derivative is −ρA/B where the unclipped branch is the smaller, else 0. With a mask
        `[B, A]` π is the distribution over legal actions; the probability of an illegal one is 0, and so is every
        derivative by its logit.
        """
        rows = len(obs)
        parameters = masked(self.actor.forward(obs), mask)
        log_probs, entropy, cache = self._distribution(parameters, actions)
        log_ratio = log_probs - old_log_probs
        ratio = np.exp(log_ratio)
        surrogate = ratio * advantages
        np.maximum(ratio, np.float32(1.0 - clip_range), out=ratio)
        np.minimum(ratio, np.float32(1.0 + clip_range), out=ratio)
        ratio *= advantages
        unclipped = surrogate <= ratio
        surrogate *= np.float32(-1.0 / rows)
        surrogate *= unclipped
        self.actor.backward(self._by_parameters(cache, surrogate, ent_coef / rows))
        squared = self._critic(obs, returns, old_values, clip_range_vf, vf_coef)
        return log_ratio, squared, entropy

    def a2c(
        self,
        obs: np.ndarray,
        actions: np.ndarray,
        advantages: np.ndarray,
        returns: np.ndarray,
        mask: np.ndarray | None = None,
        *,
        vf_coef: float,
        ent_coef: float,
    ) -> np.ndarray:
        """The gradient of −mean A log π + vf_coef · mean (V − R)² − ent_coef · mean H (arXiv 1602.01783).

        Returns policy loss, value loss and entropy.
        """
        rows = len(obs)
        parameters = masked(self.actor.forward(obs), mask)
        log_probs, entropy, cache = self._distribution(parameters, actions)
        self.actor.backward(self._by_parameters(cache, advantages * (-1.0 / rows), ent_coef / rows))
        squared = self._critic(obs, returns, returns, None, vf_coef)
        return np.array([-(advantages * log_probs).mean(), squared.mean(), entropy.mean()])

    def log_probs(self, parameters: np.ndarray, actions: np.ndarray) -> np.ndarray:
        """Log-probabilities `[B]` of actions under distributions with these parameters `[B, A]`."""
        return self._distribution(parameters, actions)[0]

    def _critic(
        self, obs: np.ndarray, returns: np.ndarray, old_values: np.ndarray, clip: float | None, vf_coef: float
    ) -> np.ndarray:
        """Write the critic's gradient; returns the squared errors `[B]`."""
        values = self.critic.forward(obs)[:, 0]
        error = values - returns
        squared, slope = error * error, error
        if clip is not None:
            near = old_values + np.clip(values - old_values, -clip, clip) - returns
            # The larger of the two squares; the clipped one is flat where the clip bites.
            inside = np.abs(values - old_values) <= clip
            worse = near * near > squared
            slope = np.where(worse, np.where(inside, near, 0.0), error)
            squared = np.maximum(squared, near * near)
        upstream = slope * np.float32(2.0 * vf_coef / len(obs))
        self.critic.backward(upstream[:, None])
        return squared

    def _distribution(self, parameters: np.ndarray, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, tuple]:
        """Log-probabilities and entropies, both `[B]`, and what the gradient needs."""
        if self._log_std is None:
            log_p = parameters.T.copy()  # [A, B]: sums over a long row are faster than over many short ones
            log_p -= np.maximum.reduce(log_p)
            p = np.exp(log_p)
            total = np.add.reduce(p)
            p /= total
            log_p -= np.log(total)
            entropy = np.einsum("ab,ab->b", p, log_p)
            np.negative(entropy, out=entropy)
            taken = actions * len(actions) + np.arange(len(actions))  # where each row's action lies in [A, B]
            return log_p.take(taken), entropy, (p, log_p, entropy, taken)
        inverse = np.exp(-self._log_std)
        z = (actions - parameters) * inverse
        constant = 0.5 * math.log(2.0 * math.pi)
        log_probs = -(0.5 * z * z + self._log_std + constant).sum(axis=1)
        entropy = np.full(len(z), (self._log_std + 0.5 + constant).sum(), np.float32)
        return log_probs, entropy, (z, inverse)

    def _by_parameters(self, cache: tuple, weight: np.ndarray, ent_weight: float) -> np.ndarray:
        """The loss's derivative by the action parameters `[B, A]`, of Σ weight · log π − ent_weight · Σ H.

        Discrete: ∂ log π(a)/∂ logits = 1[a] − p and ∂H/∂ logits = −p (log p + H). Gaussian: z/σ by the
        mean, z² − 1 by log σ; and ∂H/∂ log σ = 1.
        """
        if self._log_std is None:
            p, log_p, entropy, taken = cache
            upstream = p * -weight
            upstream.ravel()[taken] += weight
            if ent_weight:
                log_p += entropy
                log_p *= p
                log_p *= np.float32(ent_weight)
                upstream += log_p
            return upstream.T
        z, inverse = cache
        self._log_std_gradient[...] = (weight[:, None] * (z * z - 1.0)).sum(axis=0) - ent_weight * len(z)
        return (weight[:, None] * z * inverse).astype(np.float32, copy=False)
