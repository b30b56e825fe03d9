"""Reward terms of prompt mutation: the gain of a step, and what it costs. None reads the judge."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from rl_eval.domains.prompt.tasks.task import CATEGORIES
from rl_eval.rewards import Outcome, RewardTerm


class _Gain(RewardTerm):
    """A gain of the step, weighted by the category of the task.

    Args:
        categories: name of a category -> weight of its gains; others weigh 1.
    """

    fact: str

    def __init__(self, categories: Mapping[str, float] | None = None):
        for name, weight in (categories or {}).items():
            if name not in CATEGORIES:
                raise ValueError(f"categories names {name!r}; the categories are {', '.join(CATEGORIES)}")
            if isinstance(weight, str) or not 0.0 <= float(weight) < float("inf"):
                raise ValueError(f"categories.{name}={weight} is not a weight: give a number of at least 0")
        self._weights = np.array([(categories or {}).get(name, 1.0) for name in CATEGORIES], np.float32)

    def __call__(self, outcome: Outcome) -> np.ndarray:
        """`[N]` the gain times the weight of its category."""
        return outcome[self.fact] * self._weights.take(outcome["category"])


class PredictedGain(_Gain):
    """How much better the reward model finds the prompt than the one before, in nats."""

    fact = "predicted_gain"


class RubricGain(_Gain):
    """How many points of the rubric the prompt has more than the one before."""

    fact = "rubric_gain"
    range = -1.0, 1.0


class LengthCost(RewardTerm):
    """A cost for characters that the step added; nothing for those it removed.

    Args:
        per_thousand: cost of a thousand characters, a positive number.
    """

    def __init__(self, per_thousand: float):
        if not 0.0 <= per_thousand < float("inf"):
            raise ValueError(f"per_thousand={per_thousand} must be a number of at least 0")
        self._per_character = np.float32(per_thousand / 1000)

    def __call__(self, outcome: Outcome) -> np.ndarray:
        """`[N]` minus the cost."""
        return -self._per_character * np.maximum(outcome["length_gain"], 0)


class RepeatCost(RewardTerm):
    """A cost for a mutation that changed nothing; with action masks an agent takes none.

    Args:
        cost: of one such step, a positive number.
    """

    def __init__(self, cost: float):
        if not 0.0 <= cost < float("inf"):
            raise ValueError(f"cost={cost} must be a number of at least 0")
        self._cost = np.float32(cost)
        self.range = -float(cost), 0.0

    def __call__(self, outcome: Outcome) -> np.ndarray:
        """`[N]` minus the cost of a repeat, else 0."""
        return np.where(outcome["repeat"], -self._cost, np.float32(0.0))
