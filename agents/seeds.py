"""Several PPO or A2C agents that differ in their seeds, trained in step in one process.

Each collects from its own environments and draws from its own generators. Their updates are computed together, on the
parameters `[S, P]` of all: every product of matrices is one of a seed's own, so that each seed gets the bits that it
gets on its own. Everything between the products is one operation on the arrays of all.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from agents.a2c import LOSSES as A2C_LOSSES
from agents.advantage import normalize_advantages, normalize_minibatches
from agents.closed_form_gradients import ClosedForm, a2c_losses, ppo_losses
from agents.config import A2CConfig, PPOConfig
from agents.experience import Experience
from agents.flat_parameters import matmul
from agents.on_policy import OnPolicyAgent
from agents.perceptron import Layer, Perceptron
from agents.ppo import LOSSES as PPO_LOSSES

Outcome = dict[str, float] | FloatingPointError  # of an iteration: its row of metrics, or why the agent cannot go on


def each_matmul(a: np.ndarray, b: np.ndarray, *, out: np.ndarray) -> np.ndarray:
    """`a @ b` into `out`, all `[S, …]`, as `matmul` computes each."""
    for one, other, into in zip(a, b, out, strict=True):
        matmul(one, other, out=into)
    return out


class Seeds:
    """Agents of one config. They are updated together where their gradients have a closed form for all at once.

    Agents are updated one by one if they go through autograd, have continuous actions, share a body, learn from the
    rewards of all actions, or may stop an update at `target_kl`.
    """

    def __init__(self, agents: Sequence[OnPolicyAgent]):
        self._stacks: dict[tuple[int, ...], _Stack] = {}  # only the latest: seeds end at different times
        config = agents[0].config
        together = all(agent.closed_form is not None and agent.network.discrete for agent in agents)
        special = config.network.shared or getattr(config, "all_actions", False)
        self._together = together and not special and getattr(config, "target_kl", None) is None

    def iterate(self, agents: Sequence[OnPolicyAgent]) -> list[Outcome]:
        """One iteration of each agent, of those that still train."""
        outcomes: list[Any] = [None] * len(agents)
        ready = []
        for index, agent in enumerate(agents):
            try:
                if not self._together:
                    outcomes[index] = agent.iterate()
                    continue
                rollout = agent.collect()
                experience, explained_variance = agent.before_update(rollout)
                ready.append((index, agent, rollout, experience.to_numpy(), explained_variance))
            except FloatingPointError as error:
                outcomes[index] = error
        # Environments that reset in the step after an episode's last give one seed fewer rows than another.
        by_size = sorted(ready, key=lambda item: len(item[3].obs))
        for _, group in itertools.groupby(by_size, key=lambda item: len(item[3].obs)):
            members = list(group)
            losses = self._update([agent for _, agent, *_ in members], [experience for *_, experience, _ in members])
            for (index, agent, rollout, _, explained_variance), row in zip(members, losses, strict=True):
                try:
                    outcomes[index] = agent.after_update(rollout, row, explained_variance)
                except FloatingPointError as error:
                    outcomes[index] = error
        return outcomes

    def _update(self, agents: list[OnPolicyAgent], experiences: list[Experience]) -> list[dict[str, float]]:
        key = tuple(map(id, agents))
        if key not in self._stacks:
            self._stacks = {key: _Stack(agents)}
        stack = self._stacks[key]
        config = agents[0].config
        if isinstance(config, PPOConfig):
            return [dict(zip(PPO_LOSSES, row, strict=True)) for row in _update_ppo(stack, experiences, config)]
        assert isinstance(config, A2CConfig)
        return [dict(zip(A2C_LOSSES, row, strict=True)) for row in _update_a2c(stack, experiences, config)]


class _Stack:
    """The parameters of S agents as `[S, P]`, and their gradients."""

    def __init__(self, agents: list[OnPolicyAgent]):
        self.agents = agents
        self._own = [agent.flat.parameter.detach().numpy() for agent in agents]
        self._parameters = np.stack(self._own)
        self._gradients = np.zeros_like(self._parameters)
        network, activation = agents[0].network, agents[0].config.network.activation
        layer_of, start = {}, 0
        for parameter in network.parameters():
            stop = start + parameter.numel()
            shape = len(agents), *parameter.shape
            layer_of[id(parameter)] = (
                self._parameters[:, start:stop].reshape(shape),
                self._gradients[:, start:stop].reshape(shape),
            )
            start = stop

        def perceptron(body: torch.nn.Module, head: torch.nn.Module) -> Perceptron:
            layers = []
            for linear in (*body.children(), head):
                if isinstance(linear, torch.nn.Linear):
                    weight, bias = layer_of[id(linear.weight)], layer_of[id(linear.bias)]
                    layers.append(Layer(weight[0], bias[0], weight[1], bias[1]))
            return Perceptron(layers, activation, each_matmul)

        self.closed_form = ClosedForm(
            perceptron(network.actor_body, network.actor_head), perceptron(network.critic_body, network.critic_head)
        )

    def read(self) -> None:
        """Take over the parameters of the agents."""
        np.stack(self._own, out=self._parameters)

    def apply(self) -> None:
        """Give each agent its gradient; all take their step."""
        for agent, gradient in zip(self.agents, self._gradients, strict=True):
            assert agent.flat.numpy_gradient is not None
            agent.flat.numpy_gradient[...] = gradient
            agent.apply_gradient()


def _stacked(experiences: Sequence[Experience]) -> Experience:
    """Columns `[S, B, …]`."""
    columns = zip(*experiences, strict=True)
    return Experience(*(None if column[0] is None else np.stack(column) for column in columns))


def _update_ppo(stack: _Stack, experiences: list[Experience], config: PPOConfig) -> list[list[float]]:
    """`PPO.update` of each agent."""
    size = len(experiences[0].obs)
    starts = np.arange(0, max(size - config.batch_size // 2, 1), config.batch_size)
    edges = [*itertools.pairwise([*starts.tolist(), size])]
    losses: list[list[list[float]]] = [[] for _ in experiences]
    for _ in range(config.n_epochs):
        shuffled = _stacked(
            [
                experience.rows(agent.generators["minibatch"].permutation(size))
                for agent, experience in zip(stack.agents, experiences, strict=True)
            ]
        )
        if config.normalize_advantage:
            normalized = [normalize_minibatches(row, starts) for row in shuffled.advantages]
            shuffled = shuffled._replace(advantages=np.stack(normalized))
        columns = []
        for start, stop in edges:
            stack.read()
            minibatch = Experience(*(None if column is None else column[:, start:stop] for column in shuffled))
            columns.append(stack.closed_form.ppo_gradient(minibatch, config, stop - start))
            stack.apply()
        log_ratio, squared, entropy = (np.concatenate(column, axis=1) for column in zip(*columns, strict=True))
        for rows, *parts in zip(losses, log_ratio, squared, entropy, shuffled.advantages, strict=True):
            rows.append(ppo_losses(parts[0], parts[1], parts[2], parts[3], config))
        for agent in stack.agents:
            agent.training_epochs += 1
            agent.gradient_steps += len(starts)
    return [np.mean(rows, axis=0).tolist() for rows in losses]


def _update_a2c(stack: _Stack, experiences: list[Experience], config: A2CConfig) -> list[list[float]]:
    """`A2C.update` of each agent."""
    together = _stacked(experiences)
    if config.normalize_advantage:
        together = together._replace(advantages=np.stack([normalize_advantages(row) for row in together.advantages]))
    stack.read()
    rows = together.advantages.shape[1]
    parts = stack.closed_form.a2c_gradient(together, config.vf_coef, config.ent_coef, rows)
    stack.apply()
    for agent in stack.agents:
        agent.training_epochs += 1
        agent.gradient_steps += 1
    return [a2c_losses(*(part[seed] for part in parts)) for seed in range(len(experiences))]
