"""The PPO agent: proximal policy optimisation.

Schulman et al., *Proximal policy optimization algorithms*, 2017 (arXiv 1707.06347). The details that
Huang et al., *The 37 implementation details of PPO* (ICLR blog track 2022) list, and where they are:
orthogonal initialisation (`networks.py`), GAE with a bootstrap at truncations (`advantage.py`),
observation and reward scaling (`normalize.py`), minibatches of one permutation per epoch, advantages
normalised per minibatch, clipped objective, optional value clipping, entropy bonus, global gradient
clipping, Adam with ε 1e-5, linear learning-rate decay, early stop on an approximate KL.

What PPO and A2C share is in `on_policy.py`. For the networks that it serves, `closed_form_gradients.py` takes the steps
of an epoch; the losses are the same.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from gymnasium.vector import VectorEnv

from agents.advantage import normalize_advantages, normalize_minibatches
from agents.config import PPOConfig
from agents.experience import Experience
from agents.on_policy import OnPolicyAgent
from agents.optimizer import Adam, Optimizer
from agents.ranks import OwnMinibatches

LOSSES = ("policy_loss", "value_loss", "entropy", "approx_kl", "clip_fraction")


class PPO(OnPolicyAgent):
    """Several epochs of minibatches on each rollout, with the policy ratio clipped.

    With `all_actions` the objective is the expected reward of the policy instead of the clipped surrogate.

    Raises:
        ValueError: `all_actions` is set, and the environment does not tell what every action would have earned.
    """

    config: PPOConfig

    def __init__(self, config: PPOConfig, envs: VectorEnv, **keywords: Any):
        if config.all_actions and getattr(envs, "rewards_of_actions", None) is None:
            raise ValueError(
                "agent.all_actions=true learns from what every action would have earned, which is not known in this "
                "environment: set it to false"
            )
        super().__init__(config, envs, **keywords)

    @property
    def all_actions(self) -> bool:
        """As of `OnPolicyAgent.all_actions`."""
        return self.config.all_actions

    def make_optimizer(self) -> Optimizer:
        """Adam with ε 1e-5."""
        return Adam(self.flat.parameter, self.config.lr, epsilon=1e-5, weight_decay=self.config.weight_decay)

    def update(self, experience: Experience) -> dict[str, float]:
        """Minimise the clipped surrogate, the value loss and −entropy; losses are means over the rows learned from."""
        config, rng = self.config, self.generators["minibatch"]
        size = len(experience.obs) if self.share is None else len(self.share.advantages)
        if self.closed_form is not None:
            experience = experience.to_numpy()
        # A remainder below half a minibatch joins the last one: a tiny minibatch has a noisy gradient.
        starts = np.arange(0, max(size - config.batch_size // 2, 1), config.batch_size)
        counts = np.diff(starts, append=size).tolist()
        losses: list[list[float]] = []
        for _ in range(config.n_epochs):
            shuffled, own_starts = self.shuffle(experience, rng.permutation(size), starts)
            if self.closed_form is not None:
                means = self.closed_form.ppo_epoch(shuffled, own_starts, counts, config, self.apply_gradient)
            else:
                means = self.epoch(shuffled, own_starts, counts)
            losses.append(self.mean_of_ranks(means, len(shuffled.obs)))
            self.training_epochs += 1
            self.gradient_steps += len(starts)
            approx_kl = losses[-1][3]
            if config.target_kl is not None and approx_kl > config.target_kl:
                break
        return dict(zip(LOSSES, np.mean(losses, axis=0).tolist(), strict=True))

    def shuffle(self, experience: Experience, order: np.ndarray, starts: np.ndarray) -> tuple[Experience, np.ndarray]:
        """The rows of this process in the order of an epoch, and where the minibatches begin in them.

        Their advantages are normalised, except for autograd in one process, which does it a minibatch at a time.

        Args:
            order, starts: of the rows of all ranks.
        """
        share, normalizes = self.share, self.config.normalize_advantage
        if share is None:
            shuffled = experience.rows(order)
            if normalizes and self.closed_form is not None:
                shuffled = shuffled._replace(advantages=normalize_minibatches(shuffled.advantages, starts))
            return shuffled, starts
        own = OwnMinibatches.of(order, starts, share.rows)
        shuffled = experience.rows(own.rows)
        if normalizes:
            advantages = normalize_minibatches(share.advantages[order], starts)[own.places]
            shuffled = shuffled._replace(advantages=self.column(advantages))
        return shuffled, own.starts

    def epoch(self, experience: Experience, starts: np.ndarray, counts: Sequence[int]) -> list[float]:
        """A gradient step on each minibatch by autograd; returns the `LOSSES`. See `ClosedForm.ppo_epoch`."""
        edges = itertools.pairwise([*starts.tolist(), len(experience.obs)])
        minibatches = [experience.rows(slice(start, stop)) for start, stop in edges]
        weights = torch.tensor([len(m.obs) for m in minibatches], device=self.device) / len(experience.obs)
        steps = zip(minibatches, counts, strict=True)
        losses = torch.stack([self.gradient_step(minibatch, count) for minibatch, count in steps])
        return (losses * weights[:, None]).sum(dim=0).tolist()  # a GPU has to answer only here

    def gradient_step(self, minibatch: Experience, count: int) -> torch.Tensor:
        """One gradient step by autograd on a minibatch of `count` rows; returns the `LOSSES` on those given."""
        config = self.config
        if not len(minibatch.obs):  # all of them are other ranks'
            self.flat.zero_gradient()
            self.apply_gradient()
            return torch.zeros(len(LOSSES), device=self.device)
        parameters = self.network.parameters_of_actions(minibatch.obs, minibatch.masks)
        values = self.network.values(minibatch.obs)
        log_probs, entropy = self.network.log_prob_and_entropy(parameters, minibatch.actions)
        advantages = minibatch.advantages
        if config.normalize_advantage and self.share is None:
            advantages = normalize_advantages(advantages)

        log_ratio = log_probs - minibatch.log_probs
        ratio = log_ratio.exp()
        clipped = ratio.clamp(1 - config.clip_range, 1 + config.clip_range)
        if minibatch.rewards_of_actions is None:
            policy_loss = -torch.minimum(ratio * advantages, clipped * advantages).mean()
        else:
            policy_loss = -(torch.softmax(parameters, dim=-1) * minibatch.rewards_of_actions).sum(dim=-1).mean()

        error = (values - minibatch.returns).square()
        if config.clip_range_vf is not None:
            change = (values - minibatch.values).clamp(-config.clip_range_vf, config.clip_range_vf)
            error = torch.maximum(error, (minibatch.values + change - minibatch.returns).square())
        value_loss, entropy_mean = error.mean(), entropy.mean()

        self.flat.zero_gradient()
        loss = policy_loss + config.vf_coef * value_loss - config.ent_coef * entropy_mean
        (loss if self.share is None else loss * (len(minibatch.obs) / count)).backward()
        self.apply_gradient()
        with torch.no_grad():
            # Schulman's low-variance estimate of KL(old, new), http://joschu.net/blog/kl-approx.html
            approx_kl = (ratio - 1 - log_ratio).mean()
            clip_fraction = ((ratio - 1).abs() > config.clip_range).float().mean()
            return torch.stack([policy_loss, value_loss, entropy_mean, approx_kl, clip_fraction]).detach()
