"""Gradients of the PPO and A2C losses written out, on numpy arrays that the network shares.

Automatic differentiation of a small network spends its time between operations, not in them: with 64 rows this form
takes about a seventh of the time. It serves perceptrons without normalisation or dropout, tanh or ReLU, on the CPU;
everything else goes through autograd. A test checks that both give the same gradients.
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
        shared: whether actor and critic have the same hidden layers.
    """

    def __init__(
        self,
        actor: Perceptron,
        critic: Perceptron,
        log_std: tuple[np.ndarray, np.ndarray] | None = None,
        *,
        shared: bool = False,
    ):
        self.actor, self.critic, self.shared = actor, critic, shared
        self._log_std: np.ndarray | None = None
        if log_std is not None:
            self._log_std, self._log_std_gradient = log_std

    @classmethod
    def of(cls, network: ActorCritic, config: NetworkConfig) -> ClosedForm:
        """That of a network which is already behind `FlatParameters`; `config` is its own."""
        actor = as_perceptron(network.actor_body, network.actor_head, config.activation)
        critic = as_perceptron(network.critic_body, network.critic_head, config.activation)
        if network.discrete:
            return cls(actor, critic, shared=config.shared)
        assert network.log_std.grad is not None
        log_std = network.log_std.detach().numpy(), network.log_std.grad.numpy()
        return cls(actor, critic, log_std, shared=config.shared)

    @staticmethod
    def serves(config: NetworkConfig, device: torch.device) -> bool:
        """Whether this form covers the network."""
        return is_plain(config) and config.dropout == 0.0 and device.type == "cpu"

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
        columns: list[tuple[np.ndarray, ...]] = []
        edges = itertools.pairwise([*starts.tolist(), len(advantages)])
        for (start, stop), count in zip(edges, counts, strict=True):
            minibatch = experience.rows(slice(start, stop))
            if minibatch.rewards_of_actions is None:
                columns.append(self.ppo_gradient(minibatch, config, count))
            else:
                columns.append(self.all_actions_gradient(minibatch, config, count))
            apply_gradient()
        log_ratio, squared, entropy, *expected = (np.concatenate(column) for column in zip(*columns, strict=True))
        losses = ppo_losses(log_ratio, squared, entropy, advantages, config)
        return [-float(expected[0].mean()), *losses[1:]] if expected else losses

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
        upstream = self._parameter_gradient(cache, surrogate, config.ent_coef / rows)
        squared = self._backward(minibatch, upstream, config.clip_range_vf, config.vf_coef / rows)
        return log_ratio, squared, entropy

    def all_actions_gradient(
        self, minibatch: Experience, config: PPOConfig, rows: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Write the gradient of PPO's loss with the expected reward in the place of the surrogate; Discrete actions.

        L = −mean Σₐ π(a) r(a) + vf_coef · mean (V − R)² − ent_coef · mean H. Its first term's derivative by the logits
        is −π (r − Σₐ π(a) r(a)) / B, the policy gradient without the variance of drawn actions (Sutton et al.,
        *Comparing policy-gradient algorithms*, 2001; Ciosek and Whiteson, *Expected policy gradients*, AAAI 2018). It
        needs no ratio, since it is of the present policy, even if another policy collected.

        Returns the parts of its loss, each `[B]`: those of `ppo_gradient`, and the expected reward.
        """
        assert minibatch.rewards_of_actions is not None
        parameters = masked(self.actor.forward(minibatch.obs), minibatch.masks)
        log_probs, entropy, cache = self._distribution(parameters, minibatch.actions)
        p, rewards = cache[0], minibatch.rewards_of_actions.swapaxes(-1, -2)
        upstream = rewards * p
        expected = np.add.reduce(upstream, axis=-2)
        upstream -= p * expected[..., None, :]
        upstream *= np.float32(-1.0 / rows)
        upstream += self._entropy_gradient(cache, config.ent_coef / rows)
        upstream = upstream.swapaxes(-1, -2)
        squared = self._backward(minibatch, upstream, config.clip_range_vf, config.vf_coef / rows)
        return log_probs - minibatch.log_probs, squared, entropy, expected

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
        upstream = self._parameter_gradient(cache, advantages * (-1.0 / rows), ent_coef / rows)
        squared = self._backward(experience, upstream, None, vf_coef / rows)
        return advantages * log_probs, squared, entropy

    def log_probs(self, parameters: np.ndarray, actions: np.ndarray) -> np.ndarray:
        """Log-probabilities `[B]` of actions under distributions with these parameters `[B, A]`."""
        return self._distribution(parameters, actions)[0]

    def _backward(
        self, experience: Experience, of_parameters: np.ndarray, clip: float | None, weight: float
    ) -> np.ndarray:
        """Write the gradient of the actor's loss and of weight · Σ (V − R)², after a forward pass of the actor.

        Args:
            of_parameters: `[B, A]` the derivative of the actor's loss by its outputs.
            clip: of changes of the value; None: they are not clipped.

        Returns:
            The squared errors `[B]`.
        """
        returns, old_values = experience.returns, experience.values
        if self.shared:
            values = self.critic.outputs(self.actor.latest_features)[..., 0]
        else:
            self.actor.backward(of_parameters)
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
        of_values = (slope * np.float32(2.0 * weight))[..., None]
        if self.shared:
            self.actor.backward(of_parameters, (self.critic, of_values))
        else:
            self.critic.backward(of_values)
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
            action_index = actions * rows + np.arange(rows)  # where each row's action is in [A, B]
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
            p, action_index = cache[0], cache[3]
            upstream = p * -weight[..., None, :]
            upstream.ravel()[action_index] += weight
            if ent_weight:
                upstream += self._entropy_gradient(cache, ent_weight)
            return upstream.swapaxes(-1, -2)
        z, inverse = cache
        self._log_std_gradient[...] = (weight[:, None] * (z * z - 1.0)).sum(axis=0) - ent_weight * len(z)
        return (weight[:, None] * z * inverse).astype(np.float32, copy=False)

    @staticmethod
    def _entropy_gradient(cache: tuple, ent_weight: float) -> np.ndarray:
        """`[A, B]` the derivative of −ent_weight · Σ H by the logits, in the memory of the cache."""
        p, log_p, entropy, _ = cache
        log_p += entropy[..., None, :]
        log_p *= p
        log_p *= np.float32(ent_weight)
        return log_p


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
