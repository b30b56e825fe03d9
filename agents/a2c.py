"""Advantage actor-critic, synchronous.

Mnih et al., *Asynchronous methods for deep reinforcement learning*, ICML 2016 (arXiv 1602.01783), with
all copies stepped together: one gradient step on each short rollout. RMSprop keeps its ε inside the
square root, as TensorFlow's did when the published settings were found.
"""

from __future__ import annotations

import torch
from torch import nn

from agents.config import A2CConfig
from agents.on_policy import Batch, OnPolicyAgent


class RMSpropTF(torch.optim.Optimizer):
    """RMSprop with ε inside the square root and the mean square starting at 1.

    v ← ρ v + (1 − ρ) g²;  θ ← θ − lr · g / √(v + ε).
    """

    def __init__(self, params, lr: float, decay: float, epsilon: float):
        super().__init__(params, {"lr": lr, "decay": decay, "epsilon": epsilon})

    @torch.no_grad()
    def step(self, closure=None):
        """Apply the gradients that the parameters hold."""
        for group in self.param_groups:
            params = [p for p in group["params"] if p.grad is not None]
            grads = [p.grad for p in params]
            for p in params:
                if not self.state[p]:
                    self.state[p]["mean_square"] = torch.ones_like(p)
            squares = [self.state[p]["mean_square"] for p in params]
            torch._foreach_mul_(squares, group["decay"])
            torch._foreach_addcmul_(squares, grads, grads, 1 - group["decay"])
            roots = torch._foreach_add(squares, group["epsilon"])
            torch._foreach_sqrt_(roots)
            torch._foreach_addcdiv_(params, grads, roots, -group["lr"])


class A2C(OnPolicyAgent):
    """One gradient step on each rollout."""

    config: A2CConfig

    def make_optimizer(self) -> torch.optim.Optimizer:
        """RMSprop as published, or Adam."""
        config = self.config
        if config.optimizer == "adam":
            return torch.optim.Adam(self.network.parameters(), lr=config.lr, eps=config.optimizer_epsilon, fused=True)
        return RMSpropTF(self.network.parameters(), config.lr, config.rms_decay, config.optimizer_epsilon)

    def update(self, batch: Batch) -> dict[str, float]:
        """Minimise −advantage · log π, the value loss and −entropy on the whole batch."""
        config = self.config
        parameters = self.network.parameters_of_actions(batch.obs)
        values = self.network.values(batch.obs)
        log_probs, entropy = self.network.log_prob_and_entropy(parameters, batch.actions)
        advantages = batch.advantages
        if config.normalize_advantage and len(advantages) > 1:
            advantages = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
        policy_loss = -(advantages * log_probs).mean()
        value_loss = (values - batch.returns).square().mean()
        entropy_mean = entropy.mean()
        loss = policy_loss + config.vf_coef * value_loss - config.ent_coef * entropy_mean
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), config.max_grad_norm)
        self.optimizer.step()
        self.training_epochs += 1
        self.gradient_steps += 1
        names = ("policy_loss", "value_loss", "entropy")
        losses = torch.stack([policy_loss, value_loss, entropy_mean]).detach()
        return dict(zip(names, losses.tolist(), strict=True))
