"""Advantage actor-critic, synchronous.

Mnih et al., *Asynchronous methods for deep reinforcement learning*, ICML 2016 (arXiv 1602.01783), with
all copies stepped together: one gradient step on each short rollout. RMSprop keeps its ε inside the
square root, as TensorFlow's did when the published settings were found.
"""

from __future__ import annotations

import torch

from agents.config import A2CConfig
from agents.on_policy import Batch, OnPolicyAgent
from agents.optimizer import Adam, Optimizer, RMSpropTF

LOSSES = ("policy_loss", "value_loss", "entropy")


class A2C(OnPolicyAgent):
    """One gradient step on each rollout."""

    config: A2CConfig

    def make_optimizer(self) -> Optimizer:
        """RMSprop as published, or Adam."""
        config = self.config
        if config.optimizer == "adam":
            return Adam(self.flat.parameter, config.lr, config.optimizer_epsilon)
        return RMSpropTF(self.flat.parameter, config.lr, config.rms_decay, config.optimizer_epsilon)

    def update(self, batch: Batch) -> dict[str, float]:
        """Minimise −advantage · log π, the value loss and −entropy on the whole batch."""
        config = self.config
        if self.closed_form is not None:
            rows = batch.to_numpy()
            losses = self.closed_form.a2c(
                rows.obs,
                rows.actions,
                self.normalized(rows.advantages),
                rows.returns,
                rows.masks,
                vf_coef=config.vf_coef,
                ent_coef=config.ent_coef,
            ).tolist()
        else:
            losses = self._autograd(batch)
        self.apply_gradient()
        self.training_epochs += 1
        self.gradient_steps += 1
        return dict(zip(LOSSES, losses, strict=False))

    def _autograd(self, batch: Batch) -> list[float]:
        """The gradient by autograd; returns the `LOSSES`."""
        config = self.config
        parameters = self.network.parameters_of_actions(batch.obs, batch.masks)
        values = self.network.values(batch.obs)
        log_probs, entropy = self.network.log_prob_and_entropy(parameters, batch.actions)
        policy_loss = -(self.normalized(batch.advantages) * log_probs).mean()
        value_loss = (values - batch.returns).square().mean()
        entropy_mean = entropy.mean()
        self.flat.zero_gradient()
        (policy_loss + config.vf_coef * value_loss - config.ent_coef * entropy_mean).backward()
        return torch.stack([policy_loss, value_loss, entropy_mean]).tolist()
