"""The supervised peers of threat triage: the actor's network fitted to the labels of the training part.

Both use as many flows as the agent's updates do, in minibatches of the same size, with the same optimiser (Adam, its
learning rate and schedule). They know the true cost of every action on every flow; the agent only learns the reward of
the action that it took.

- `cross_entropy`: P(threat) by cross-entropy, then the action of least expected cost.
- `expected_cost`: a softmax over the four actions that minimises Σₐ π(a|x) cost[label, a], then its most likely action.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from agents.config import PPOConfig

ACTIVATIONS = {"tanh": "Tanh", "relu": "ReLU", "silu": "SiLU", "gelu": "GELU"}


class Supervised:
    """A fitted network that acts."""

    def __init__(self, network: Any, costs: np.ndarray, objective: str):
        self._network, self._costs, self._objective = network, costs, objective

    def act(self, obs: np.ndarray, greedy: bool) -> np.ndarray:
        """Actions `[N]`; `greedy` makes no difference."""
        import torch

        from rl_eval.domains.threat.baselines import least_cost_action

        with torch.inference_mode():
            logits = self._network(torch.tensor(obs))
            if self._objective == "expected_cost":
                return logits.argmax(dim=1).numpy()
            return least_cost_action(torch.softmax(logits, dim=1)[:, 1].numpy(), self._costs)


def fit(
    features: np.ndarray,
    label: np.ndarray,
    costs: np.ndarray,
    objective: str,
    agent: PPOConfig,
    flows: int,
    seed: int,
) -> Supervised:
    """Fit one peer.

    Args:
        features, label: of the training part, `[R, D]` and `[R]`.
        costs: `[2, A]`.
        objective: `cross_entropy` or `expected_cost`.
        agent: its network, batch size, learning rate and schedule are used.
        flows: how many are used in total, in passes over shuffled data.
    """
    import torch
    from torch import nn

    torch.set_num_threads(1)
    torch.manual_seed(seed)
    activation = getattr(nn, ACTIVATIONS[agent.network.activation])
    layers, width = [], features.shape[1]
    for hidden in agent.network.widths:
        layers += [nn.Linear(width, hidden), activation()]
        width = hidden
    network = nn.Sequential(*layers, nn.Linear(width, 2 if objective == "cross_entropy" else costs.shape[1]))
    optimizer = torch.optim.Adam(network.parameters(), lr=agent.lr, eps=1e-5, fused=True)
    table, inputs = torch.tensor(costs, dtype=torch.float32), torch.tensor(features)
    labels = torch.tensor(label, dtype=torch.int64)
    used = 0
    while used < flows:
        order = torch.randperm(len(inputs))
        for first in range(0, len(order) - agent.batch_size + 1, agent.batch_size):
            rows = order[first : first + agent.batch_size]
            if agent.lr_schedule == "linear":
                optimizer.param_groups[0]["lr"] = agent.lr * max(0.0, 1 - used / flows)
            logits = network(inputs[rows])
            if objective == "cross_entropy":
                loss = nn.functional.cross_entropy(logits, labels[rows])
            else:
                loss = (torch.softmax(logits, dim=1) * table[labels[rows]]).sum(dim=1).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            used += agent.batch_size
            if used >= flows:
                break
    return Supervised(network, costs, objective)
