"""The validation part during training: the greedy policy is played on it, and the best snapshot is chosen by it."""

from __future__ import annotations

import math

import numpy as np

from rl_eval import domains, seeding
from rl_eval.config import RunConfig
from rl_eval.metrics import MetricUndefined, lookup
from rl_eval.policy import Policy
from rl_eval.rollout import Episodes, play

MAX_COPIES = 25


class ValidationPart:
    """Copies of the environment over the validation part; every policy plays the same episodes.

    Attributes:
        undefined: why the metric had no value on the episodes of a policy, the last time that it had none.
    """

    def __init__(self, config: RunConfig):
        self._config = config
        self._metric = lookup(config.validation.metric)
        self.undefined: str | None = None
        copies = min(MAX_COPIES, config.validation.episodes)
        self._vector = domains.make(config.env, n_envs=copies, part="validation", autoreset=False)

    def play(self, policy: Policy) -> Episodes:
        """The episodes of a policy that acts greedily."""
        config = self._config
        limit = domains.domain(config.env.name).episodes(config.env, "validation")
        count = config.validation.episodes if limit is None else min(config.validation.episodes, limit)
        seeds = seeding.episode_seeds(config.seed, count, "select") if limit is None else list(range(count))
        return play(self._vector, policy, seeds=seeds, order=config.seed)

    def score(self, policy: Policy) -> float:
        """The validation metric of a policy; NaN if it is undefined, such as a precision without alarms."""
        try:
            return float(self._metric.compute(self.play(policy), self._config.env))
        except MetricUndefined as error:
            self.undefined = str(error)
            return math.nan

    def values(self, policy: Policy) -> np.ndarray:
        """The validation metric of each episode of a policy, `[n]`, higher is better; NaN where it is undefined."""
        assert self._metric.variable is not None  # `validation.trials` was checked
        values = np.asarray(self._metric.variable(self.play(policy), self._config.env), float)
        return -values if self._metric.better == "lower" else values

    def close(self) -> None:
        """Give up the environments."""
        self._vector.close()

    def improves(self, score: float, best: float | None) -> bool:
        """Whether a score is better than the best so far; NaN never is."""
        return not math.isnan(score) and (best is None or self._upwards(score) > self._upwards(best))

    def reaches_target(self, score: float) -> bool:
        """Whether a score is as good as `validation.stop_at`."""
        target = self._config.validation.stop_at
        return target is not None and self._upwards(score) >= self._upwards(target)

    def _upwards(self, value: float) -> float:
        """The value, with its sign changed where lower is better."""
        return -value if self._metric.better == "lower" else value
