"""Optimisers: gradient steps on one flat parameter vector `[P]`.

`torch.optim` does the same. But making any of its optimisers imports torch's compiler, which takes about as long as
importing torch, and two thirds of the time of a step there are not arithmetic.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

# Running means of dead units decay to denormal numbers, on which a step takes three times as long. So smaller numbers
# than this become 0, often enough: from 1e-30 to denormal numbers it takes 175 steps.
SMALLEST = 1e-30
FLUSH_EVERY = 128  # steps


class Optimizer(Protocol):
    """A rule that moves a parameter along its gradient."""

    lr: float

    def step(self) -> None: ...  # noqa: D102
    def state(self) -> dict[str, np.ndarray]: ...  # noqa: D102
    def load_state(self, arrays: Mapping[str, np.ndarray]) -> None: ...  # noqa: D102


class _Stateful:
    """The tensors of `names` are the state."""

    names: tuple[str, ...]

    def state(self) -> dict[str, np.ndarray]:
        """Copies of the running statistics, by name."""
        return {name: getattr(self, name).cpu().numpy().copy() for name in self.names}

    def load_state(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Restore what `state` gave."""
        for name in self.names:
            getattr(self, name).copy_(torch.from_numpy(np.array(arrays[name])))


class Adam(_Stateful):
    """Kingma & Ba, *Adam*, ICLR 2015 (arXiv 1412.6980), algorithm 1.

    m ← β₁ m + (1 − β₁) g;  v ← β₂ v + (1 − β₂) g²;  θ ← θ − lr · m̂ / (√v̂ + ε), with m̂ = m / (1 − β₁ᵗ) and
    v̂ = v / (1 − β₂ᵗ).

    Args:
        parameter: `[P]`, with its gradient in `.grad`.
        weight_decay: w; before each step θ ← (1 − lr · w) θ (Loshchilov & Hutter, *Decoupled weight decay
            regularization*, ICLR 2019, arXiv 1711.05101, algorithm 2).
    """

    names = ("count", "mean", "mean_square")

    def __init__(
        self,
        parameter: Tensor,
        lr: float,
        epsilon: float,
        betas: tuple[float, float] = (0.9, 0.999),
        weight_decay: float = 0.0,
    ):
        assert parameter.grad is not None
        self._parameter, self._gradient = parameter.detach(), parameter.grad
        self.lr, self._epsilon, self._betas, self._weight_decay = lr, epsilon, betas, weight_decay
        self.mean, self.mean_square = torch.zeros_like(self._parameter), torch.zeros_like(self._parameter)
        self.count = torch.zeros((), device=parameter.device)
        self._until_flush = FLUSH_EVERY

    def load_state(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Restore what `state` gave."""
        super().load_state(arrays)
        self._until_flush = FLUSH_EVERY - int(self.count) % FLUSH_EVERY

    def step(self) -> None:
        """Apply the gradient that the parameter holds."""
        self.count += 1
        self._until_flush -= 1
        if not self._until_flush:
            self._until_flush = FLUSH_EVERY
            for moment in (self.mean, self.mean_square):
                moment.masked_fill_(moment.abs() < SMALLEST, 0.0)
        torch._fused_adamw_(
            [self._parameter],
            [self._gradient],
            [self.mean],
            [self.mean_square],
            [],
            [self.count],
            lr=self.lr,
            beta1=self._betas[0],
            beta2=self._betas[1],
            weight_decay=self._weight_decay,
            eps=self._epsilon,
            amsgrad=False,
            maximize=False,
        )


class RMSpropTF(_Stateful):
    """RMSprop with ε inside the square root and the mean square starting at 1, as in TensorFlow.

    v ← ρ v + (1 − ρ) g²;  θ ← θ − lr · g / √(v + ε).

    Args:
        parameter: `[P]`, with its gradient in `.grad`.
    """

    names = ("mean_square",)

    def __init__(self, parameter: Tensor, lr: float, decay: float, epsilon: float):
        assert parameter.grad is not None
        self._parameter, self._gradient = parameter.detach(), parameter.grad
        self.lr, self._decay, self._epsilon = lr, decay, epsilon
        self.mean_square = torch.ones_like(self._parameter)

    def step(self) -> None:
        """Apply the gradient that the parameter holds."""
        gradient = self._gradient
        self.mean_square.mul_(self._decay).addcmul_(gradient, gradient, value=1.0 - self._decay)
        root = (self.mean_square + self._epsilon).sqrt_()
        self._parameter.addcdiv_(gradient, root, value=-self.lr)
