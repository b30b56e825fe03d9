"""The Q-network of DQN as a torch module: a value for each action."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn

from agents.config import QNetworkConfig
from agents.networks import body, linear


class GroupAttention(nn.Module):
    """Observations `[B, D]` to `[B, G · W]`: a token for each group of features, after attention to the others.

    One pre-normalised block of multi-head self-attention with a residual connection (Vaswani et al., *Attention is all
    you need*, 2017, eq. 1; Xiong et al. 2020 for the place of the normalisation). Each group has a linear layer of its
    own, so no positions need to be added.
    """

    def __init__(self, config: QNetworkConfig, rng: np.random.Generator):
        super().__init__()
        self.groups, self.heads, width = list(config.groups), config.heads, config.group_width
        self.tokens = nn.ModuleList(linear(size, width, 1.0, config, rng) for size in config.groups)
        self.norm = nn.LayerNorm(width)
        self.query, self.key, self.value = (linear(width, width, 1.0, config, rng) for _ in "qkv")
        self.out = linear(width, width, 1.0, config, rng)

    def forward(self, obs: Tensor) -> Tensor:
        """`[B, D]` to `[B, G · W]`."""
        pieces = obs.split(self.groups, dim=1)
        tokens = torch.stack([layer(piece) for layer, piece in zip(self.tokens, pieces, strict=True)], dim=1)
        normed = self.norm(tokens)
        query, key, value = (self._heads(layer(normed)) for layer in (self.query, self.key, self.value))
        weights = torch.softmax(query @ key.transpose(2, 3) / math.sqrt(query.shape[-1]), dim=-1)
        attended = (weights @ value).transpose(1, 2).flatten(2)
        return (tokens + self.out(attended)).flatten(1)

    def _heads(self, x: Tensor) -> Tensor:
        """`[B, G, W]` to `[B, H, G, W / H]`."""
        return x.unflatten(2, (self.heads, -1)).transpose(1, 2)


class QNetwork(nn.Module):
    """Observations `[B, D]` to action values `[B, A]`; `perceptron.PlainQ` explains dueling."""

    def __init__(self, obs_size: int, actions: int, config: QNetworkConfig, dueling: bool, rng: np.random.Generator):
        super().__init__()
        self.dueling = dueling
        self.attention = GroupAttention(config, rng) if config.groups else None
        size = len(config.groups) * config.group_width if config.groups else obs_size
        self.body, features = body(size, config, rng)
        # Small first values: the maximum over actions makes too much of large random ones.
        self.head = linear(features, actions + dueling, 0.01, config, rng)

    def forward(self, obs: Tensor) -> Tensor:
        """`[B, D]` to Q `[B, A]`."""
        outputs = self.head(self.body(obs if self.attention is None else self.attention(obs)))
        if not self.dueling:
            return outputs
        advantages = outputs[:, :-1]
        return outputs[:, -1:] + (advantages - advantages.mean(dim=1, keepdim=True))

    @torch.inference_mode()
    def q_values(self, inputs: np.ndarray) -> np.ndarray:
        """Inputs `[B, D]` to Q `[B, A]`, both numpy; without gradients."""
        return self(torch.from_numpy(inputs).to(self.head.weight.device)).cpu().numpy()
