"""What changes with the env steps of a run: ε, β, and how many updates are due; pure functions."""

from __future__ import annotations

from fractions import Fraction

from agents.config import DQNConfig


def epsilon(config: DQNConfig, env_steps: int, total_steps: int) -> float:
    """The chance that a copy acts at random: from `epsilon_start` to `epsilon_end`, and there it stays.

    Linear: by the same amount each step (Mnih et al. 2015); exponential: by the same factor.
    """
    span = config.exploration_fraction * total_steps
    done = min(env_steps / span, 1.0) if span > 0 else 1.0
    if config.exploration == "exponential" and done < 1.0:
        return config.epsilon_start * (config.epsilon_end / config.epsilon_start) ** done
    return config.epsilon_end + (config.epsilon_start - config.epsilon_end) * (1.0 - done)


def beta(config: DQNConfig, env_steps: int, total_steps: int) -> float:
    """How far importance weights undo the priorities: linear to 1 at the end (Schaul et al. 2016, section 3.4)."""
    return config.priority_beta + (1.0 - config.priority_beta) * min(env_steps / total_steps, 1.0)


def updates_due(config: DQNConfig, env_steps: int) -> int:
    """Gradient steps that belong to `env_steps`, exactly: ⌊updates_per_step · steps since learning began⌋.

    It begins after `learning_starts` steps, and never before there is a batch.
    """
    since = env_steps - max(config.learning_starts, config.batch_size)
    # repr, for the number that was written: .1 is a tenth here, not the nearest double to it
    return int(Fraction(repr(config.updates_per_step)) * max(since, 0))
