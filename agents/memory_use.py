"""The memory that an agent takes, computed from its config, before anything is allocated.

Only what grows with the config counts, and each estimate is a lower bound of that: a config that is refused for its
memory could not have been trained. A registered body is not counted, since nothing is known of its size.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agents.config import DQNConfig, OnPolicyConfig

FLOAT = 4  # bytes


def _parameters(sizes: Sequence[int]) -> int:
    """Weights and biases of a perceptron with layers of these sizes."""
    return sum(inputs * outputs + outputs for inputs, outputs in pairwise(sizes))


def _training_bytes(parameters: int, largest_layer: int, networks: int) -> int:
    """Of networks in training: parameters, gradient, two moments, and the float64 matrix of an orthogonal start."""
    return FLOAT * parameters * (3 + networks) + 8 * largest_layer


def _largest_layer(sizes: Sequence[int]) -> int:
    return max((inputs * outputs for inputs, outputs in pairwise(sizes)), default=0)


def on_policy_bytes(config: OnPolicyConfig, observation: int, action: int) -> dict[str, int]:
    """Key of the config -> bytes that grow with it; `a x b` for the product of two.

    Args:
        observation, action: D and A, the numbers of an observation and of the parameters of an action.
    """
    rows, widths = config.n_envs * config.n_steps, config.network.widths if config.network.body is None else []
    sizes = [observation, *widths]
    bodies = 1 if config.network.shared else 2
    parameters = bodies * _parameters(sizes) + (action + 1) * (sizes[-1] + 1)
    # Observations as given, as the network takes them, and with those that come after; parameters and noise of actions.
    row = FLOAT * (3 * observation + 2 * action + max(widths, default=0) + 8)
    return {
        "agent.network.widths": _training_bytes(parameters, _largest_layer(sizes), 1),
        "agent.n_envs x agent.n_steps": rows * row,
    }


def dqn_bytes(config: DQNConfig, observation: int, action: int) -> dict[str, int]:
    """Key of the config -> bytes that grow with it; `a x b` for the product of two.

    Args:
        observation, action: D and A, the numbers of an observation and of the actions.
    """
    network = config.network
    groups, width = network.groups, network.group_width
    inputs = len(groups) * width or observation
    if network.candidates:
        inputs, action = 2 * width, 1
    sizes = [inputs, *(network.widths if network.body is None else [])]
    attention = sum(groups) * width + 4 * width**2 if groups else 0
    if network.candidates:
        size = network.context + (observation - network.context) // network.candidates
        attention = size * width + 4 * width**2
    parameters = attention + _parameters(sizes) + (action + config.dueling) * (sizes[-1] + 1)
    slot = 1 + 8 * config.prioritized  # whether it can be drawn, and its weight
    if config.replay.storage == "memory":
        slot += FLOAT * observation
    if config.replay.storage != "memmap":
        slot += FLOAT + 8 + 1 + 8  # reward, action, end, env steps
    largest = max(_largest_layer(sizes), width**2 if groups or network.candidates else 0)
    return {
        "agent.network.widths": _training_bytes(parameters, largest, 2),
        "agent.buffer_size": config.buffer_size * slot * config.agents.processes,
        "agent.batch_size": config.batch_size * FLOAT * (2 * observation + max(network.widths, default=0)),
        "agent.n_envs x agent.train_every": config.train_every * config.n_envs * FLOAT * (observation + 4),
    }
