"""Schedules over the env steps of a run: learning rate, ε, β, and the number of updates that are due."""

from __future__ import annotations

from fractions import Fraction

from agents.config import DQNConfig, OnPolicyConfig


def learning_rate(config: OnPolicyConfig | DQNConfig, env_steps: int, total_steps: int) -> float:
    """The learning rate, constant or falling linearly to 0 at `total_steps`."""
    if config.lr_schedule == "linear":
        return config.lr * max(0.0, 1.0 - env_steps / total_steps)
    return config.lr


def epsilon(config: DQNConfig, env_steps: int, total_steps: int) -> float:
    """The chance of a random action: it falls from `epsilon_start` to `epsilon_end` and stays there.

    Linear: by the same amount each step (Mnih et al. 2015). Exponential: by the same factor.
    """
    span = config.exploration_fraction * total_steps
    fraction = min(env_steps / span, 1.0) if span > 0 else 1.0
    if config.exploration == "exponential" and fraction < 1.0:
        return config.epsilon_start * (config.epsilon_end / config.epsilon_start) ** fraction
    return config.epsilon_end + (config.epsilon_start - config.epsilon_end) * (1.0 - fraction)


def beta(config: DQNConfig, env_steps: int, total_steps: int) -> float:
    """How far importance weights undo the priorities: linear to 1 at the end (Schaul et al. 2016, section 3.4)."""
    return config.priority_beta + (1.0 - config.priority_beta) * min(env_steps / total_steps, 1.0)


def updates_due(config: DQNConfig, env_steps: int) -> int:
    """Gradient steps that belong to `env_steps`: ⌊updates_per_step · steps since learning began⌋, without rounding.

    Learning begins after `learning_starts` steps, and never before there is a batch.
    """
    steps = env_steps - max(config.learning_starts, config.batch_size)
    # repr gives the number as it was written: .1 is a tenth here, not the nearest double to it
    return int(Fraction(repr(config.updates_per_step)) * max(steps, 0))
