"""The online and the target network of Q-learning, and the step that moves them.

For plain perceptrons on the CPU the gradient is written out on numpy arrays that the networks share, as in
`closed_form.py`; everything else goes through autograd. A test holds the two equal.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import torch

from agents.closed_form import FlatParameters, perceptron_of
from agents.config import DQNConfig
from agents.masks import masked
from agents.optimizer import Adam
from agents.perceptron import PlainQ, is_plain
from agents.q_network import QNetwork


class Values(Protocol):
    """Inputs `[B, D]` to Q `[B, A]`, numpy."""

    def q_values(self, inputs: np.ndarray) -> np.ndarray: ...  # noqa: D102


def losses(td: np.ndarray, kind: str) -> np.ndarray:
    """δ²/2 of each TD error, or Huber's: beyond ±1 |δ| − 1/2, whose slope is ±1 (Mnih et al. 2015)."""
    if kind == "squared":
        return 0.5 * td * td
    size = np.abs(td)
    near = np.minimum(size, 1.0)
    return near * (size - 0.5 * near)


class QLearning:
    """Two networks and an optimiser.

    Args:
        obs_size: D.
        actions: A.
        rng: draws the first weights.
    """

    def __init__(self, config: DQNConfig, obs_size: int, actions: int, rng: np.random.Generator, device: torch.device):
        self.config, self.device = config, device
        self.online = QNetwork(obs_size, actions, config.network, config.dueling, rng).to(device)
        self.target = QNetwork(obs_size, actions, config.network, config.dueling, rng).to(device)
        self.flat, self._flat_target = FlatParameters(self.online), FlatParameters(self.target)
        self.sync(1.0)
        self.optimizer = Adam(self.flat.parameter, config.lr, epsilon=config.optimizer_epsilon)
        self._plain: PlainQ | None = None
        self.values: Values = self.online
        self.target_values: Values = self.target
        if is_plain(config.network) and device.type == "cpu":
            self.values = self._plain = self._closed(self.online)
            self.target_values = self._closed(self.target)

    def _closed(self, network: QNetwork) -> PlainQ:
        return PlainQ(perceptron_of(network.body, network.head, self.config.network.activation), self.config.dueling)

    def sync(self, tau: float) -> None:
        """θ⁻ ← (1 − τ) θ⁻ + τ θ; with τ = 1 a copy, to the bit."""
        with torch.no_grad():
            if tau == 1.0:
                self._flat_target.parameter.copy_(self.flat.parameter)
            else:
                self._flat_target.parameter.lerp_(self.flat.parameter, tau)

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
            chosen = masked(self.values.q_values(next_inputs), next_masks).argmax(axis=1)
            best = next_q.take(chosen + _offsets(next_q))
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
        forward_and_backward = self._closed_form if self._plain is not None else self._autograd
        td, q = forward_and_backward(inputs, actions, targets, weights)
        norm = float(self.flat.clip_gradient(self.config.max_grad_norm))
        self.optimizer.step()
        return td, q, norm

    def _closed_form(
        self, inputs: np.ndarray, actions: np.ndarray, targets: np.ndarray, weights: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Write the gradient: by Q(s, a) it is weight · δ / B, with δ clipped to ±1 for Huber's loss."""
        assert self._plain is not None
        q = self._plain.q_values(inputs)
        taken = actions + _offsets(q)
        td = q.take(taken) - targets
        slope = np.clip(td, -1.0, 1.0) if self.config.loss == "huber" else td
        upstream = np.zeros_like(q)
        upstream.ravel()[taken] = (slope if weights is None else slope * weights) / np.float32(len(q))
        self._plain.backward(upstream)
        return td, q

    def _autograd(
        self, inputs: np.ndarray, actions: np.ndarray, targets: np.ndarray, weights: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Write the gradient."""

        def on_device(array: Any) -> torch.Tensor:
            return torch.from_numpy(np.ascontiguousarray(array)).to(self.device)

        q = self.online(on_device(inputs))
        td = q.gather(1, on_device(actions)[:, None])[:, 0] - on_device(targets)
        loss = torch.nn.functional.huber_loss if self.config.loss == "huber" else torch.nn.functional.mse_loss
        each = loss(td, torch.zeros_like(td), reduction="none") * (1.0 if self.config.loss == "huber" else 0.5)
        self.flat.zero_gradient()
        (each if weights is None else each * on_device(weights)).mean().backward()
        return td.detach().cpu().numpy(), q.detach().cpu().numpy()


def _offsets(q: np.ndarray) -> np.ndarray:
    """Where each row of `[B, A]` begins in the flat array."""
    return np.arange(0, q.size, q.shape[1])
