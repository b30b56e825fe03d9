"""Proximal policy optimisation.

Schulman et al., *Proximal policy optimization algorithms*, 2017 (arXiv 1707.06347). The details that
Huang et al., *The 37 implementation details of PPO* (ICLR blog track 2022) list, and where they are:
orthogonal initialisation (`networks.py`), GAE with a bootstrap at truncations (`advantage.py`),
observation and reward scaling (`normalize.py`), minibatches of one permutation an epoch, advantages
normalised a minibatch, clipped objective, optional value clipping, entropy bonus, global gradient
clipping, Adam with ε 1e-5, linear learning-rate decay, early stop on an approximate KL.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from agents.config import PPOConfig
from agents.on_policy import Batch, OnPolicyAgent


class PPO(OnPolicyAgent):
    """Several epochs of minibatches on each rollout, with the policy ratio clipped."""

    config: PPOConfig

    def make_optimizer(self) -> torch.optim.Optimizer:
        """Adam with ε 1e-5, all parameters in one fused step."""
        return torch.optim.Adam(self.network.parameters(), lr=self.config.lr, eps=1e-5, fused=True)

    def update(self, batch: Batch) -> dict[str, float]:
        """Minimise the clipped surrogate, the value loss and −entropy; losses are means over minibatches."""
        config, rng = self.config, self.generators["minibatch"]
        size = len(batch.obs)
        totals = torch.zeros(5, device=self.device)
        minibatches = epochs = 0
        for _ in range(config.n_epochs):
            order = torch.from_numpy(rng.permutation(size)).to(self.device)
            shuffled = batch.rows(order)
            epoch_kl, epoch_count = torch.zeros((), device=self.device), 0
            # A remainder below half a batch joins the last one: a tiny batch has a noisy gradient.
            starts = np.arange(0, max(size - config.batch_size // 2, 1), config.batch_size)
            for i, start in enumerate(starts):
                stop = size if i == len(starts) - 1 else start + config.batch_size
                losses = self._minibatch(shuffled.rows(slice(start, stop)))
                totals += losses
                epoch_kl += losses[3]
                epoch_count += 1
            minibatches += epoch_count
            epochs += 1
            if config.target_kl is not None and float(epoch_kl) / epoch_count > config.target_kl:
                break
        self.training_epochs += epochs
        self.gradient_steps += minibatches
        names = ("policy_loss", "value_loss", "entropy", "approx_kl", "clip_fraction")
        return dict(zip(names, (totals / minibatches).tolist(), strict=True))

    def _minibatch(self, batch: Batch) -> torch.Tensor:
        """One gradient step; returns policy loss, value loss, entropy, approximate KL, clip fraction."""
        config = self.config
        parameters = self.network.parameters_of_actions(batch.obs)
        values = self.network.values(batch.obs)
        log_probs, entropy = self.network.log_prob_and_entropy(parameters, batch.actions)
        advantages = batch.advantages
        if config.normalize_advantage and len(advantages) > 1:
            advantages = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
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
        loss = policy_loss + config.vf_coef * value_loss - config.ent_coef * entropy_mean
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), config.max_grad_norm)
        self.optimizer.step()
        with torch.no_grad():
            # Schulman's low-variance estimate of KL(old, new), http://joschu.net/blog/kl-approx.html
            approx_kl = (ratio - 1 - log_ratio).mean()
            clip_fraction = ((ratio - 1).abs() > config.clip_range).float().mean()
            return torch.stack([policy_loss, value_loss, entropy_mean, approx_kl, clip_fraction]).detach()
