"""The Q-network of several agents: a head for each, or a network for each, chosen by whose turn it is."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from agents.config import AgentsConfig, QNetworkConfig
from agents.q_network import QNetwork


class TeamQNetwork(nn.Module):
    """Observations `[B, D]` to action values `[B, A]` of the agents whose turn it is.

    The first numbers of an observation, one per agent, say whose turn it is: 1 there, 0 elsewhere. With `share=replay`
    attention and body are common, so the experience of each agent teaches them all, and the last layer is each
    agent's own. With `share=none` the agents have nothing in common.
    """

    def __init__(
        self,
        obs_size: int,
        actions: int,
        config: QNetworkConfig,
        dueling: bool,
        agents: AgentsConfig,
        rng: np.random.Generator,
    ):
        super().__init__()
        self.count, self.shares = agents.count, agents.share == "replay"
        self.members = nn.ModuleList(QNetwork(obs_size, actions, config, dueling, rng) for _ in range(agents.count))
        if self.shares:
            first = self.first
            for member in self.members:
                member.attention, member.body = first.attention, first.body

    @property
    def first(self) -> Any:
        """The network of the first agent."""
        return self.members[0]

    @property
    def attention(self) -> nn.Module | None:
        """That of the first agent; with `share=replay` of all."""
        return self.first.attention

    @property
    def body(self) -> nn.Module:
        """That of the first agent; with `share=replay` of all."""
        return self.first.body

    def forward(self, obs: Tensor) -> Tensor:
        """`[B, D]` to Q `[B, A]`."""
        turns = obs[:, : self.count].argmax(dim=1)
        members: list[Any] = list(self.members)
        if self.shares:
            features = self.first.features(obs)
            values = torch.stack([member.values(features) for member in members], dim=1)
        else:
            values = torch.stack([member(obs) for member in members], dim=1)
        return values[torch.arange(len(obs), device=obs.device), turns]

    @torch.inference_mode()
    def q_values(self, inputs: np.ndarray) -> np.ndarray:
        """Inputs `[B, D]` to Q `[B, A]`, both numpy; without gradients."""
        return self(torch.from_numpy(inputs).to(self.first.head.weight.device)).cpu().numpy()


def q_network(
    obs_size: int,
    actions: int,
    config: QNetworkConfig,
    dueling: bool,
    agents: AgentsConfig,
    rng: np.random.Generator,
) -> QNetwork | TeamQNetwork:
    """The network of one agent or of several."""
    if agents.count == 1:
        return QNetwork(obs_size, actions, config, dueling, rng)
    return TeamQNetwork(obs_size, actions, config, dueling, agents, rng)
