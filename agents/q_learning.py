"""The online and the target network of Q-learning, their targets, and the gradient step.

For plain perceptrons on the CPU the gradient is written out on numpy arrays that the networks share, as in
`closed_form_gradients.py`; everything else goes through autograd. A test checks that both give the same gradients.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from agents.action_masks import masked
from agents.config import DQNConfig
from agents.elastic_weights import ElasticWeights
from agents.flat_parameters import FlatParameters, as_perceptron
from agents.optimizer import Adam
from agents.perceptron import ActionValues, PlainQ, is_plain
from agents.team_network import q_network


def losses(td_errors: np.ndarray, kind: str) -> np.ndarray:
    """δ²/2 of each TD error, or Huber's: beyond ±1 |δ| − 1/2, whose slope is ±1 (Mnih et al. 2015)."""
    if kind == "squared":
        return 0.5 * td_errors * td_errors
    size = np.abs(td_errors)
    clipped = np.minimum(size, 1.0)
    return clipped * (size - 0.5 * clipped)


class QLearning:
    """Two networks and an optimiser.

    Args:
        obs_size: D.
        actions: A.
        rng: draws the first weights.
    """

    def __init__(self, config: DQNConfig, obs_size: int, actions: int, rng: np.random.Generator, device: torch.device):
        self.config, self.device = config, device
        self.online, self.target = (
            q_network(obs_size, actions, config.network, config.dueling, config.agents, rng).to(device).eval()
            for _ in ("online", "target")
        )
        self.flat, self._flat_target = FlatParameters(self.online), FlatParameters(self.target)
        self.sync(1.0)
        self.optimizer = Adam(
            self.flat.parameter, config.lr, epsilon=config.optimizer_epsilon, weight_decay=config.weight_decay
        )
        self.elastic: ElasticWeights | None = None  # what holds the weights near those of earlier learning
        self._plain: PlainQ | None = None
        self.values: ActionValues = self.online
        self.target_values: ActionValues = self.target
        if config.agents.count == 1 and is_plain(config.network) and device.type == "cpu":
            self.values = self._plain = self._on_numpy(self.online)
            self.target_values = self._on_numpy(self.target)

    def _on_numpy(self, network: Any) -> PlainQ:
        return PlainQ(as_perceptron(network.body, network.head, self.config.network.activation), self.config.dueling)

    def sync(self, tau: float) -> None:
        """θ⁻ ← (1 − τ) θ⁻ + τ θ; with τ = 1 a copy, to the bit."""
        with torch.no_grad():
            if tau == 1.0:
                self._flat_target.parameter.copy_(self.flat.parameter)
            else:
                self._flat_target.parameter.lerp_(self.flat.parameter, tau)
            for target, online in zip(self.target.buffers(), self.online.buffers(), strict=True):
                target.copy_(online)  # such as the statistics of batch norm

    def targets(
        self,
        returns: np.ndarray,
        discounts: np.ndarray,
        next_inputs: np.ndarray,
        next_q: np.ndarray,
        next_masks: np.ndarray | None = None,
    ) -> np.ndarray:
        """R + discount · Q⁻(s′, a′), `[B]`.

        a′ is the best action by the online network (van Hasselt et al., *Deep reinforcement learning with double
        Q-learning*, AAAI 2016, eq. 4), or without `double` by the target network itself.

        Args:
            returns, discounts: `[B]`; the discount is 0 where an episode terminated.
            next_inputs: `[B, D]`.
            next_q: `[B, A]` of the target network on them.
            next_masks: bool `[B, A]`, the actions that are legal there; None: all.
        """
        if self.config.double:
            best_actions = masked(self.values.q_values(next_inputs), next_masks).argmax(axis=1)
            best = next_q.take(best_actions + _row_starts(next_q))
        else:
            best = masked(next_q, next_masks).max(axis=1)
        return returns + discounts * best

    def step(
        self, inputs: np.ndarray, actions: np.ndarray, targets: np.ndarray, weights: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray, float]:
        """One gradient step on the mean of weights · loss(Q(s, a) − target).

        Args:
            inputs: `[B, D]`; actions: `[B]` from 0; targets, weights: `[B]`; weights None: 1.

        Returns:
            The TD errors Q(s, a) − target `[B]` and Q `[B, A]`, both from before the step, and the gradient's norm.
        """
        gradient = self._closed_form_gradient if self._plain is not None else self._autograd_gradient
        td_errors, q = gradient(inputs, actions, targets, weights)
        if self.elastic is not None:
            assert self.flat.parameter.grad is not None
            self.elastic.add_gradient(self.flat.parameter, self.flat.parameter.grad)
        norm = float(self.flat.clip_gradient(self.config.max_grad_norm))
        self.optimizer.step()
        return td_errors, q, norm

    def _closed_form_gradient(
        self, inputs: np.ndarray, actions: np.ndarray, targets: np.ndarray, weights: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Write the gradient: by Q(s, a) it is weight · δ / B, with δ clipped to ±1 for Huber's loss."""
        assert self._plain is not None
        q = self._plain.q_values(inputs)
        places = actions + _row_starts(q)
        td_errors = q.take(places) - targets
        slope = np.clip(td_errors, -1.0, 1.0) if self.config.loss == "huber" else td_errors
        upstream = np.zeros_like(q)
        upstream.ravel()[places] = (slope if weights is None else slope * weights) / np.float32(len(q))
        self._plain.backward(upstream)
        return td_errors, q

    def _autograd_gradient(
        self, inputs: np.ndarray, actions: np.ndarray, targets: np.ndarray, weights: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Write the gradient."""

        def on_device(array: Any) -> torch.Tensor:
            return torch.from_numpy(np.ascontiguousarray(array)).to(self.device)

        self.online.train()  # a registered body may learn in another mode than it acts
        q = self.online(on_device(inputs))
        self.online.eval()
        td_errors = q.gather(1, on_device(actions)[:, None])[:, 0] - on_device(targets)
        loss = torch.nn.functional.huber_loss if self.config.loss == "huber" else torch.nn.functional.mse_loss
        row_losses = loss(td_errors, torch.zeros_like(td_errors), reduction="none")
        row_losses = row_losses * (1.0 if self.config.loss == "huber" else 0.5)
        self.flat.zero_gradient()
        (row_losses if weights is None else row_losses * on_device(weights)).mean().backward()
        return td_errors.detach().cpu().numpy(), q.detach().cpu().numpy()


def _row_starts(q: np.ndarray) -> np.ndarray:
    """Where each row of `[B, A]` begins in the flat array."""
    return np.arange(0, q.size, q.shape[1])
