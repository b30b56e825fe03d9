"""Changes of observations, each number by at most ε, that may turn a decision.

Random changes go to random corners of the box of side 2ε. Gradient-based ones take steps against a gradient, such as
that of the lead of the best action over the second, projected into the box (Madry et al. 2018, arXiv 1706.06083; in
reinforcement learning: Huang et al. 2017, arXiv 1702.02284). What they reach is a lower bound: another attack may find
more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

Gradients = Callable[[np.ndarray], np.ndarray]  # observations [N, D] to gradients [N, D]


def random_changes(
    observations: np.ndarray, epsilon: float, draws: int, rng: np.random.Generator
) -> Iterator[np.ndarray]:
    """Observations `[N, D]` at random corners, `draws` times."""
    for _ in range(draws):
        signs = rng.integers(0, 2, observations.shape, dtype=np.int8) * 2 - 1
        yield observations + np.float32(epsilon) * signs


def gradient_changes(
    observations: np.ndarray, epsilon: float, steps: int, gradients: Gradients
) -> Iterator[np.ndarray]:
    """Observations `[N, D]` after each step against the gradient."""
    changed = observations.copy()
    step = np.float32(epsilon if steps == 1 else 2.5 * epsilon / steps)
    for _ in range(steps):
        changed = changed - step * np.sign(gradients(changed))
        changed = np.clip(changed, observations - np.float32(epsilon), observations + np.float32(epsilon))
        yield changed
