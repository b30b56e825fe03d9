"""Gradients of the PPO and A2C losses written out, on numpy arrays that the network shares.

Automatic differentiation of a small network spends its time between operations, not in them: with 64 rows this form
takes about a seventh of the time. It serves separate actor and critic without normalisation or dropout, tanh or ReLU,
on the CPU; everything else goes through autograd. A test checks that both give the same gradients.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence

import numpy as np
import torch

from agents.action_masks import masked
from agents.config import NetworkConfig, PPOConfig
from agents.experience import Experience
from agents.flat_parameters import as_perceptron
from agents.networks import ActorCritic
from agents.perceptron import Perceptron, is_plain


class ClosedForm:
    """The gradients of the policy-gradient losses of an `ActorCritic`, or of S of them with Discrete actions.

    Of S networks, all that is `[B, …]` has S in front of it.

    Args:
        log_std: and its gradient, `[A]`; None: the actions are Discrete.
    """

    def __init__(self, actor: Perceptron, critic: Perceptron, log_std: tuple[np.ndarray, np.ndarray] | None = None):
        self.actor, self.critic = actor, critic
        self._log_std: np.ndarray | None = None
        if log_std is not None:
            self._log_std, self._log_std_gradient = log_std

    @classmethod
    def of(cls, network: ActorCritic, config: NetworkConfig) -> ClosedForm:
        """That of a network which is already behind `FlatParameters`; `config` is its own."""
        actor = as_perceptron(network.actor_body, network.actor_head, config.activation)
        critic = as_perceptron(network.critic_body, network.critic_head, config.activation)
        if network.discrete:
            return cls(actor, critic)
        assert network.log_std.grad is not None
        return cls(actor, critic, (network.log_std.detach().numpy(), network.log_std.grad.numpy()))

    @staticmethod
    def serves(config: NetworkConfig, device: torch.device) -> bool:
        """Whether this form covers the network."""
        return is_plain(config) and config.dropout == 0.0 and not config.shared and device.type == "cpu"

    def ppo_epoch(
        self,
        experience: Experience,
        starts: np.ndarray,
        counts: Sequence[int],
        config: PPOConfig,
        apply_gradient: Callable[[], None],
    ) -> list[float]:
        """A gradient step on each minibatch; returns the `LOSSES` of `ppo.py`, means over all rows.

        Args:
            experience: numpy arrays in the order of the epoch, advantages normalised.
            starts: the first row of each minibatch.
            counts: the rows of each, those of other ranks included.
            apply_gradient: called once the gradient of a minibatch is written.
        """
        advantages = experience.advantages
        columns = []
        edges = itertools.pairwise([*starts.tolist(), len(advantages)])
        for (start, stop), count in zip(edges, counts, strict=True):
            columns.append(self.ppo_gradient(experience.rows(slice(start, stop)), config, count))
            apply_gradient()
        log_ratio, squared, entropy = (np.concatenate(column) for column in zip(*columns, strict=True))
        return ppo_losses(log_ratio, squared, entropy, advantages, config)

    def ppo_gradient(
        self, minibatch: Experience, config: PPOConfig, rows: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Write the gradient of PPO's loss (arXiv 1707.06347, eq. 7 and 9) on a minibatch of `rows` rows.

        `minibatch` has those B of them that are this rank's; the gradients of all ranks add up to that of the loss.

        Returns the parts of its loss, each `[B]`: log ρ, the squared error of the critic, and the entropy; see
        `ppo_losses`.

        L = −mean min(ρA, clip(ρ)A) + vf_coef · mean (V − R)² − ent_coef · mean H, with ρ = π/π_old. By
        log π the first term's derivative is −ρA/B where the unclipped branch is the smaller, else 0. With a mask
        π is the distribution over legal actions; the probability of an illegal one is 0, and so is every derivative
        by its logit.
        """
        advantages = minibatch.advantages
        parameters = masked(self.actor.forward(minibatch.obs), minibatch.masks)
        log_probs, entropy, cache = self._distribution(parameters, minibatch.actions)
        log_ratio = log_probs - minibatch.log_probs
        ratio = np.exp(log_ratio)
        surrogate = ratio * advantages
        np.maximum(ratio, np.float32(1.0 - config.clip_range), out=ratio)
        np.minimum(ratio, np.float32(1.0 + config.clip_range), out=ratio)
        ratio *= advantages
        unclipped = surrogate <= ratio
        surrogate *= np.float32(-1.0 / rows)
        surrogate *= unclipped
        self.actor.backward(self._parameter_gradient(cache, surrogate, config.ent_coef / rows))
        squared = self._critic(minibatch, config.clip_range_vf, config.vf_coef / rows)
        return log_ratio, squared, entropy

    def a2c_gradient(
        self, experience: Experience, vf_coef: float, ent_coef: float, rows: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Write the gradient of −mean A log π + vf_coef · mean (V − R)² − ent_coef · mean H (arXiv 1602.01783).

        The means are over `rows` rows, those of other ranks included. Returns the three terms of the rows of
        `experience`, each `[B]`: A log π, the squared error of the critic, and the entropy.
        """
        advantages = experience.advantages
        parameters = masked(self.actor.forward(experience.obs), experience.masks)
        log_probs, entropy, cache = self._distribution(parameters, experience.actions)
        self.actor.backward(self._parameter_gradient(cache, advantages * (-1.0 / rows), ent_coef / rows))
        squared = self._critic(experience, None, vf_coef / rows)
        return advantages * log_probs, squared, entropy

    def log_probs(self, parameters: np.ndarray, actions: np.ndarray) -> np.ndarray:
        """Log-probabilities `[B]` of actions under distributions with these parameters `[B, A]`."""
        return self._distribution(parameters, actions)[0]

    def _critic(self, experience: Experience, clip: float | None, weight: float) -> np.ndarray:
        """Write the gradient of weight · Σ (V − R)²; returns the squared errors `[B]`."""
        returns, old_values = experience.returns, experience.values
        values = self.critic.forward(experience.obs)[..., 0]
        error = values - returns
        squared, slope = error * error, error
        if clip is not None:
            clipped_error = old_values + np.clip(values - old_values, -clip, clip) - returns
            # The larger of the two squares counts; that of the clipped error is constant outside the clip range.
            inside = np.abs(values - old_values) <= clip
            larger = clipped_error * clipped_error > squared
            slope = np.where(larger, np.where(inside, clipped_error, 0.0), error)
            squared = np.maximum(squared, clipped_error * clipped_error)
        upstream = slope * np.float32(2.0 * weight)
        self.critic.backward(upstream[..., None])
        return squared

    def _distribution(self, parameters: np.ndarray, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, tuple]:
        """Log-probabilities and entropies, both `[B]`, and what `_parameter_gradient` needs."""
        if self._log_std is None:
            # [A, B]: sums over a long row are faster than over many short ones
            log_p = parameters.swapaxes(-1, -2).copy()
            log_p -= np.maximum.reduce(log_p, axis=-2, keepdims=True)
            p = np.exp(log_p)
            total = np.add.reduce(p, axis=-2, keepdims=True)
            p /= total
            log_p -= np.log(total)
            entropy = np.einsum("...ab,...ab->...b", p, log_p)
            np.negative(entropy, out=entropy)
            rows = actions.shape[-1]
            action_index = actions * rows + np.arange(rows)  # where each row's action lies in [A, B]
            if log_p.ndim == 3:
                action_index += (np.arange(len(log_p)) * log_p[0].size)[:, None]
            return log_p.take(action_index), entropy, (p, log_p, entropy, action_index)
        inverse = np.exp(-self._log_std)
        z = (actions - parameters) * inverse
        constant = 0.5 * math.log(2.0 * math.pi)
        log_probs = -(0.5 * z * z + self._log_std + constant).sum(axis=1)
        entropy = np.full(len(z), (self._log_std + 0.5 + constant).sum(), np.float32)
        return log_probs, entropy, (z, inverse)

    def _parameter_gradient(self, cache: tuple, weight: np.ndarray, ent_weight: float) -> np.ndarray:
        """The loss's derivative by the action parameters `[B, A]`, of Σ weight · log π − ent_weight · Σ H.

        Discrete: ∂ log π(a)/∂ logits = 1[a] − p and ∂H/∂ logits = −p (log p + H). Gaussian: z/σ by the
        mean, z² − 1 by log σ; and ∂H/∂ log σ = 1.
        """
        if self._log_std is None:
            p, log_p, entropy, action_index = cache
            upstream = p * -weight[..., None, :]
            upstream.ravel()[action_index] += weight
            if ent_weight:
                log_p += entropy[..., None, :]
                log_p *= p
                log_p *= np.float32(ent_weight)
                upstream += log_p
            return upstream.swapaxes(-1, -2)
        z, inverse = cache
        self._log_std_gradient[...] = (weight[:, None] * (z * z - 1.0)).sum(axis=0) - ent_weight * len(z)
        return (weight[:, None] * z * inverse).astype(np.float32, copy=False)


def ppo_losses(
    log_ratio: np.ndarray, squared: np.ndarray, entropy: np.ndarray, advantages: np.ndarray, config: PPOConfig
) -> list[float]:
    """The `LOSSES` of `ppo.py`, from the parts that `ClosedForm.ppo_gradient` gives and the advantages, each `[B]`."""
    ratio = np.exp(log_ratio)
    clipped = np.clip(ratio, 1 - config.clip_range, 1 + config.clip_range)
    return [
        -float(np.minimum(ratio * advantages, clipped * advantages).mean()),
        float(squared.mean()),
        float(entropy.mean()),
        float((ratio - 1 - log_ratio).mean()),
        float((np.abs(ratio - 1) > config.clip_range).mean()),
    ]


def a2c_losses(weighted: np.ndarray, squared: np.ndarray, entropy: np.ndarray) -> list[float]:
    """The `LOSSES` of `a2c.py`, from the terms that `ClosedForm.a2c_gradient` gives, each `[B]`."""
    return [-float(weighted.mean()), float(squared.mean()), float(entropy.mean())]
