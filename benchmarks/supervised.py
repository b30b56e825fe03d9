"""The supervised peers of threat triage: the actor's network fitted to the labels of the training part.

Both see as many flows as the agent's updates do, in minibatches of its size, with its optimiser (Adam, its learning
rate and schedule), and know the true cost of every action on every flow; the agent only learns the reward of the
action it took.

- `cross_entropy`: P(threat) by cross-entropy, then the action of least expected cost.
- `expected_cost`: a softmax over the four actions that minimises Σₐ π(a|x) cost[label, a], then its likeliest action.
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
        """Actions `[N]`; always the best by its own lights."""
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
        agent: whose network, batch size, learning rate and schedule are taken.
        flows: how many are seen in all, in passes over shuffled data.
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
    seen = 0
    while seen < flows:
        order = torch.randperm(len(inputs))
        for first in range(0, len(order) - agent.batch_size + 1, agent.batch_size):
            rows = order[first : first + agent.batch_size]
            if agent.lr_schedule == "linear":
                optimizer.param_groups[0]["lr"] = agent.lr * max(0.0, 1 - seen / flows)
            logits = network(inputs[rows])
            if objective == "cross_entropy":
                loss = nn.functional.cross_entropy(logits, labels[rows])
            else:
                loss = (torch.softmax(logits, dim=1) * table[labels[rows]]).sum(dim=1).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            seen += agent.batch_size
            if seen >= flows:
                break
    return Supervised(network, costs, objective)
