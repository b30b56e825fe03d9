"""Proximal policy optimisation.

Schulman et al., *Proximal policy optimization algorithms*, 2017 (arXiv 1707.06347). The details that
Huang et al., *The 37 implementation details of PPO* (ICLR blog track 2022) list, and where they are:
orthogonal initialisation (`networks.py`), GAE with a bootstrap at truncations (`advantage.py`),
observation and reward scaling (`normalize.py`), minibatches of one permutation an epoch, advantages
normalised a minibatch, clipped objective, optional value clipping, entropy bonus, global gradient
clipping, Adam with ε 1e-5, linear learning-rate decay, early stop on an approximate KL.
"""

from __future__ import annotations

import itertools

import numpy as np
import torch

from agents.config import PPOConfig
from agents.on_policy import Batch, OnPolicyAgent
from agents.optimizer import Adam, Optimizer

LOSSES = ("policy_loss", "value_loss", "entropy", "approx_kl", "clip_fraction")


class PPO(OnPolicyAgent):
    """Several epochs of minibatches on each rollout, with the policy ratio clipped."""

    config: PPOConfig

    def make_optimizer(self) -> Optimizer:
        """Adam with ε 1e-5."""
        return Adam(self.flat.parameter, self.config.lr, epsilon=1e-5)

    def update(self, batch: Batch) -> dict[str, float]:
        """Minimise the clipped surrogate, the value loss and −entropy; losses are means over the rows learned from."""
        config, rng = self.config, self.generators["minibatch"]
        epoch = self._autograd_epoch
        if self.closed_form is not None:
            epoch, batch = self._closed_form_epoch, batch.to_numpy()
        size = len(batch.obs)
        # A remainder below half a batch joins the last one: a tiny batch has a noisy gradient.
        starts = np.arange(0, max(size - config.batch_size // 2, 1), config.batch_size)
        losses: list[list[float]] = []
        for _ in range(config.n_epochs):
            losses.append(epoch(batch.rows(rng.permutation(size)), starts))
            self.training_epochs += 1
            self.gradient_steps += len(starts)
            if config.target_kl is not None and losses[-1][3] > config.target_kl:
                break
        return dict(zip(LOSSES, np.mean(losses, axis=0).tolist(), strict=True))

    def _closed_form_epoch(self, batch: Batch, starts: np.ndarray) -> list[float]:
        """A gradient step a minibatch, without autograd; returns the `LOSSES`."""
        config = self.config
        assert self.closed_form is not None
        advantages = self._normalized_each(batch.advantages, starts)
        rows: list[tuple[np.ndarray, ...]] = []
        for start, stop in itertools.pairwise([*starts.tolist(), len(batch.obs)]):
            losses = self.closed_form.ppo(
                batch.obs[start:stop],
                batch.actions[start:stop],
                batch.log_probs[start:stop],
                advantages[start:stop],
                batch.values[start:stop],
                batch.returns[start:stop],
                None if batch.masks is None else batch.masks[start:stop],
                clip_range=config.clip_range,
                clip_range_vf=config.clip_range_vf,
                vf_coef=config.vf_coef,
                ent_coef=config.ent_coef,
            )
            self.apply_gradient()
            rows.append(losses)
        log_ratio, squared, entropy = (np.concatenate(column) for column in zip(*rows, strict=True))
        ratio = np.exp(log_ratio)
        clipped = np.clip(ratio, 1 - config.clip_range, 1 + config.clip_range)
        return [
            -float(np.minimum(ratio * advantages, clipped * advantages).mean()),
            float(squared.mean()),
            float(entropy.mean()),
            float((ratio - 1 - log_ratio).mean()),
            float((np.abs(ratio - 1) > config.clip_range).mean()),
        ]

    def _normalized_each(self, advantages: np.ndarray, starts: np.ndarray) -> np.ndarray:
        """`normalized` of every minibatch at once: `advantages` `[B]`, `starts` their first rows."""
        counts = np.diff(starts, append=len(advantages))
        if not self.config.normalize_advantage or counts.min() < 2:
            return advantages
        centred = advantages - np.repeat(np.add.reduceat(advantages, starts) / counts, counts)
        deviation = np.sqrt(np.add.reduceat(centred * centred, starts) / (counts - 1)) + 1e-8
        return (centred / np.repeat(deviation, counts)).astype(np.float32)

    def _autograd_epoch(self, batch: Batch, starts: np.ndarray) -> list[float]:
        """A gradient step a minibatch, by autograd; returns the `LOSSES`."""
        stops = [*starts[1:].tolist(), len(batch.obs)]
        pieces = [batch.rows(slice(start, stop)) for start, stop in zip(starts.tolist(), stops, strict=True)]
        weights = torch.tensor([len(piece.obs) for piece in pieces], device=self.device) / len(batch.obs)
        # Only here does a GPU have to answer.
        return (torch.stack([self._autograd_step(piece) for piece in pieces]) * weights[:, None]).sum(dim=0).tolist()

    def _autograd_step(self, batch: Batch) -> torch.Tensor:
        """One gradient step by autograd; returns the `LOSSES`."""
        config = self.config
        parameters = self.network.parameters_of_actions(batch.obs, batch.masks)
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
