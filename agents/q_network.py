"""The Q-network of DQN as a torch module: a value for each action."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn

from agents.action_masks import ILLEGAL
from agents.config import QNetworkConfig
from agents.networks import ACTIVATIONS, body, linear


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


class CandidateAttention(nn.Module):
    """Observations `[B, P + K · C]` to `[B · K, 2 · W]`: a token for each candidate, and one for the context.

    The context asks all candidates by one layer of multi-head attention (pooling by attention: Lee et al., *Set
    Transformer*, ICML 2019, eq. 11), with a residual connection, and each candidate is scored together with the answer.
    All candidates share their weights, so another order of them gives the values in that order. A candidate whose
    features are all 0 is absent, and is not asked.
    """

    def __init__(self, obs_size: int, config: QNetworkConfig, rng: np.random.Generator):
        super().__init__()
        self.candidates, self.context, self.heads = config.candidates, config.context, config.heads
        width, size = config.group_width, (obs_size - config.context) // config.candidates
        self.activation = ACTIVATIONS[config.activation]()
        self.of_context = linear(config.context, width, math.sqrt(2), config, rng) if config.context else None
        self.of_candidate = linear(size, width, math.sqrt(2), config, rng)
        self.norm = nn.LayerNorm(width)
        self.query, self.key, self.value = (linear(width, width, 1.0, config, rng) for _ in "qkv")
        self.out = linear(width, width, 1.0, config, rng)

    def forward(self, obs: Tensor) -> Tensor:
        """`[B, P + K · C]` to `[B · K, 2 · W]`."""
        rows = obs[:, self.context :].unflatten(1, (self.candidates, -1))
        tokens = self.activation(self.of_candidate(rows))
        context = tokens.mean(dim=1)
        if self.of_context is not None:
            context = context + self.activation(self.of_context(obs[:, : self.context]))
        normed = self.norm(tokens)
        query = self.query(self.norm(context)).unflatten(1, (self.heads, 1, -1))  # [B, H, 1, W / H]
        key, value = (layer(normed).unflatten(2, (self.heads, -1)).transpose(1, 2) for layer in (self.key, self.value))
        scores = query @ key.transpose(2, 3) / math.sqrt(query.shape[-1])  # [B, H, 1, K]
        absent = (rows == 0).all(dim=2)[:, None, None, :]
        weights = torch.softmax(scores.masked_fill(absent, ILLEGAL), dim=-1)
        context = context + self.out((weights @ value).flatten(1))
        return torch.cat([tokens, context[:, None].expand_as(tokens)], dim=2).flatten(0, 1)


class QNetwork(nn.Module):
    """Observations `[B, D]` to action values `[B, A]`; `perceptron.PlainQ` explains dueling.

    With candidates the perceptron scores each, and the mean of its second output over them is the state's value.
    """

    def __init__(self, obs_size: int, actions: int, config: QNetworkConfig, dueling: bool, rng: np.random.Generator):
        super().__init__()
        self.dueling = dueling
        self.candidates = config.candidates
        self.attention: GroupAttention | CandidateAttention | None = None
        if config.candidates:
            self.attention, size, actions = CandidateAttention(obs_size, config, rng), 2 * config.group_width, 1
        elif config.groups:
            self.attention, size = GroupAttention(config, rng), len(config.groups) * config.group_width
        else:
            size = obs_size
        self.body, features = body(size, config, rng)
        # Small first values: the maximum over actions makes too much of large random ones.
        self.head = linear(features, actions + dueling, 0.01, config, rng)

    def forward(self, obs: Tensor) -> Tensor:
        """`[B, D]` to Q `[B, A]`."""
        return self.values(self.features(obs))

    def features(self, obs: Tensor) -> Tensor:
        """`[B, D]` to what the last layer reads, `[B, F]`, or `[B · K, F]` with candidates."""
        return self.body(obs if self.attention is None else self.attention(obs))

    def values(self, features: Tensor) -> Tensor:
        """`[B, F]` or `[B · K, F]` to Q `[B, A]`."""
        outputs = self.head(features)
        if self.candidates:
            outputs = outputs.unflatten(0, (-1, self.candidates))  # [B, K, 1 or 2]
            outputs = torch.cat([outputs[..., 0], outputs[..., 1:].mean(dim=1)], dim=1)  # [B, K] or [B, K + 1]
        if not self.dueling:
            return outputs
        advantages = outputs[:, :-1]
        return outputs[:, -1:] + (advantages - advantages.mean(dim=1, keepdim=True))

    @torch.inference_mode()
    def q_values(self, inputs: np.ndarray) -> np.ndarray:
        """Inputs `[B, D]` to Q `[B, A]`, both numpy; without gradients."""
        return self(torch.from_numpy(inputs).to(self.head.weight.device)).cpu().numpy()
