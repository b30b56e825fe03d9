"""Schedules over env steps: values worked by hand, and their bounds."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.config import DQNConfig, PPOConfig
from agents.schedules import beta, epsilon, learning_rate, updates_due


def test_epsilon_by_hand():
    linear = DQNConfig(epsilon_start=1.0, epsilon_end=0.1, exploration_fraction=0.5)
    assert [epsilon(linear, step, 100) for step in (0, 25, 50, 99)] == pytest.approx([1.0, 0.55, 0.1, 0.1])
    falling = DQNConfig(epsilon_start=0.8, epsilon_end=0.2, exploration_fraction=1.0, exploration="exponential")
    assert [epsilon(falling, step, 100) for step in (0, 50, 100, 200)] == pytest.approx([0.8, 0.4, 0.2, 0.2])
    assert epsilon(DQNConfig(exploration_fraction=0.0), 0, 100) == 0.05


@given(st.sampled_from(["linear", "exponential"]), st.floats(0.01, 1), st.floats(0.01, 1), st.floats(0, 1))
def test_epsilon_falls_and_stays_between_its_ends(kind, one, other, fraction):
    config = DQNConfig(
        exploration=kind, epsilon_start=max(one, other), epsilon_end=min(one, other), exploration_fraction=fraction
    )
    values = np.array([epsilon(config, step, 1000) for step in range(0, 1200, 50)])
    assert (np.diff(values) <= 1e-12).all()
    assert values.max() <= config.epsilon_start + 1e-12
    assert values[-1] == pytest.approx(config.epsilon_end)


def test_beta_goes_from_its_start_to_one():
    config = DQNConfig(priority_beta=0.4)
    assert [beta(config, step, 100) for step in (0, 50, 100, 150)] == pytest.approx([0.4, 0.7, 1.0, 1.0])


@given(st.integers(1, 400), st.integers(0, 10**7))
def test_updates_are_due_exactly(hundredths, steps):
    """The ratio as it was written, at any step: no rounding adds up."""
    config = DQNConfig(updates_per_step=hundredths / 100, learning_starts=1000)
    assert updates_due(config, steps) == Fraction(hundredths, 100) * max(steps - 1000, 0) // 1


def test_the_learning_rate_is_constant_or_falls_to_0():
    for config in (PPOConfig(lr=1e-3), DQNConfig(lr=1e-3)):
        assert [learning_rate(config, step, 100) for step in (0, 50, 100)] == [1e-3] * 3
    for config in (PPOConfig(lr=1e-3, lr_schedule="linear"), DQNConfig(lr=1e-3, lr_schedule="linear")):
        rates = [learning_rate(config, step, 100) for step in (0, 50, 100, 150)]
        assert rates == pytest.approx([1e-3, 5e-4, 0.0, 0.0])
