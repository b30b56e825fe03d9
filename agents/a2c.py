"""The A2C agent: synchronous advantage actor-critic, one gradient step on each rollout.

Mnih et al., *Asynchronous methods for deep reinforcement learning*, ICML 2016 (arXiv 1602.01783), with
all copies stepped together: one gradient step on each short rollout. RMSprop keeps its ε inside the
square root, as TensorFlow's did when the published settings were found. What A2C shares with PPO is in `on_policy.py`.
"""

from __future__ import annotations

import torch

from agents.advantage import normalize_advantages
from agents.closed_form_gradients import a2c_losses
from agents.config import A2CConfig
from agents.experience import Experience
from agents.on_policy import OnPolicyAgent
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

    def update(self, experience: Experience) -> dict[str, float]:
        """Minimise −advantage · log π, the value loss and −entropy on the whole rollout."""
        config, share = self.config, self.share
        rows = len(experience.obs) if share is None else len(share.advantages)
        if self.closed_form is not None:
            experience = experience.to_numpy()
        if config.normalize_advantage:
            if share is None:
                advantages = normalize_advantages(experience.advantages)
            else:
                advantages = self.column(normalize_advantages(share.advantages)[share.rows])
            experience = experience._replace(advantages=advantages)
        if self.closed_form is not None:
            losses = a2c_losses(*self.closed_form.a2c_gradient(experience, config.vf_coef, config.ent_coef, rows))
        else:
            losses = self.gradient(experience, rows)
        self.apply_gradient()
        losses = self.mean_of_ranks(losses, len(experience.obs))
        self.training_epochs += 1
        self.gradient_steps += 1
        return dict(zip(LOSSES, losses, strict=True))

    def gradient(self, experience: Experience, rows: int) -> list[float]:
        """Write the gradient by autograd, of means over `rows` rows; returns the `LOSSES` on those given."""
        config = self.config
        parameters = self.network.parameters_of_actions(experience.obs, experience.masks)
        values = self.network.values(experience.obs)
        log_probs, entropy = self.network.log_prob_and_entropy(parameters, experience.actions)
        policy_loss = -(experience.advantages * log_probs).mean()
        value_loss = (values - experience.returns).square().mean()
        entropy_mean = entropy.mean()
        self.flat.zero_gradient()
        loss = policy_loss + config.vf_coef * value_loss - config.ent_coef * entropy_mean
        (loss if self.share is None else loss * (len(experience.obs) / rows)).backward()
        return torch.stack([policy_loss, value_loss, entropy_mean]).tolist()
