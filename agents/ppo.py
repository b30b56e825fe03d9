"""Proximal policy optimisation.

Schulman et al., *Proximal policy optimization algorithms*, 2017 (arXiv 1707.06347). The details that
Huang et al., *The 37 implementation details of PPO* (ICLR blog track 2022) list, and where they are:
orthogonal initialisation (`networks.py`), GAE with a bootstrap at truncations (`advantage.py`),
observation and reward scaling (`normalize.py`), minibatches of one permutation an epoch, advantages
normalised a minibatch, clipped objective, optional value clipping, entropy bonus, global gradient
clipping, Adam with ε 1e-5, linear learning-rate decay, early stop on an approximate KL.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from agents.config import PPOConfig
from agents.on_policy import Batch, OnPolicyAgent

LOSSES = ("policy_loss", "value_loss", "entropy", "approx_kl", "clip_fraction")


class PPO(OnPolicyAgent):
    """Several epochs of minibatches on each rollout, with the policy ratio clipped."""

    config: PPOConfig

    def make_optimizer(self) -> torch.optim.Optimizer:
        """Adam with ε 1e-5, all parameters in one fused step."""
        return torch.optim.Adam([self.flat.parameter], lr=self.config.lr, eps=1e-5, fused=True)

    def update(self, batch: Batch) -> dict[str, float]:
        """Minimise the clipped surrogate, the value loss and −entropy; losses are means over minibatches."""
        config, rng = self.config, self.generators["minibatch"]
        step: Callable[[Batch], Any] = self._autograd_step
        if self.closed_form is not None:
            step, batch = self._closed_form_step, batch.to_numpy()
        size = len(batch.obs)
        # A remainder below half a batch joins the last one: a tiny batch has a noisy gradient.
        starts = np.arange(0, max(size - config.batch_size // 2, 1), config.batch_size)
        losses: list[Any] = []
        for _ in range(config.n_epochs):
            shuffled = batch.rows(rng.permutation(size))
            for i, start in enumerate(starts):
                stop = size if i == len(starts) - 1 else start + config.batch_size
                losses.append(step(shuffled.rows(slice(start, stop))))
            self.training_epochs += 1
            self.gradient_steps += len(starts)
            if config.target_kl is not None and _means(losses[-len(starts) :])[3] > config.target_kl:
                break
        return dict(zip(LOSSES, _means(losses), strict=True))

    def _closed_form_step(self, batch: Batch) -> np.ndarray:
        """One gradient step without autograd; returns the `LOSSES`."""
        config = self.config
        assert self.closed_form is not None
        losses = self.closed_form.ppo(
            batch.obs,
            batch.actions,
            batch.log_probs,
            self.normalized(batch.advantages),
            batch.values,
            batch.returns,
            clip_range=config.clip_range,
            clip_range_vf=config.clip_range_vf,
            vf_coef=config.vf_coef,
            ent_coef=config.ent_coef,
        )
        self.apply_gradient()
        return losses

    def _autograd_step(self, batch: Batch) -> torch.Tensor:
        """One gradient step by autograd; returns the `LOSSES`."""
        config = self.config
        parameters = self.network.parameters_of_actions(batch.obs)
        values = self.network.values(batch.obs)
        log_probs, entropy = self.network.log_prob_and_entropy(parameters, batch.actions)
        advantages = self.normalized(batch.advantages)
        log_ratio = log_probs - batch.log_probs
        ratio = log_ratio.exp()
        clipped = ratio.clamp(1 - config.clip_range, 1 + config.clip_range)
        policy_loss = -torch.minimum(ratio * advantages, clipped * advantages).mean()
        error = (values - batch.returns).square()
        if config.clip_range_vf is not None:
            near = batch.values + (values - batch.values).clamp(-config.clip_range_vf, config.clip_range_vf)
            error = torch.maximum(error, (near - batch.returns).square())
        value_loss = error.mean()
        entropy_mean = entropy.mean()
        self.flat.zero_gradient()
        (policy_loss + config.vf_coef * value_loss - config.ent_coef * entropy_mean).backward()
        self.apply_gradient()
        with torch.no_grad():
            # Schulman's low-variance estimate of KL(old, new), http://joschu.net/blog/kl-approx.html
            approx_kl = (ratio - 1 - log_ratio).mean()
            clip_fraction = ((ratio - 1).abs() > config.clip_range).float().mean()
            return torch.stack([policy_loss, value_loss, entropy_mean, approx_kl, clip_fraction]).detach()


def _means(losses: list) -> list[float]:
    """The mean of each loss over the minibatches; only here does a GPU have to answer."""
    if isinstance(losses[0], torch.Tensor):
        return torch.stack(losses).mean(dim=0).tolist()
    return np.mean(losses, axis=0).tolist()
