"""`QualityFilter`: which experience may be learned from; each refusal has one reason, and each reason is counted.

It knows the shapes of what is served, the policy versions that were active last, and a reference of each feature: mean
and deviation over the first accepted experiences.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rl_eval.production.collection_config import QualityConfig
from rl_eval.production.store.rows import Pair

log = logging.getLogger(__name__)
REASONS = {  # of refusal, with what is refused
    "schema": "a wrong size, an unknown or illegal action, a mask without a legal action",
    "finite": "a number that is not finite",
    "range": "a number beyond `quality.limit`; a reward outside `quality.reward`",
    "propensity": "none, or outside (0, 1]; for continuous actions, a density that is not positive",
    "stale": "a policy version that is not among the latest `quality.versions`",
    "late": "a reward after `quality.max_age`",
    "shift": "a feature more than `quality.shift` deviations from its mean over the first `quality.reference` "
    "experiences",
    "conflict": "two rewards of one decision; with `conflicts: refuse`, also equal observations and actions with other "
    "rewards",
}
REWARD_TOLERANCE = 1e-9


@dataclass(frozen=True)
class Shapes:
    """Sizes of what is served.

    Attributes:
        observation: numbers of an observation.
        actions: how many there are; None: they are continuous.
        action: numbers of a continuous action.
    """

    observation: int
    actions: int | None
    action: int = 1


class QualityFilter:
    """The filter.

    Args:
        state: what `state` returned before.
    """

    def __init__(self, config: QualityConfig, shapes: Shapes, state: Mapping[str, Any] | None = None):
        self._config, self._shapes = config, shapes
        state = state or {}
        self._seen: dict[str, float] = {str(k): float(v) for k, v in state.get("versions", {}).items()}
        size = shapes.observation
        self._count = int(state.get("count", 0))
        self._mean = np.asarray(state.get("mean", np.zeros(size)), np.float64)
        self._squares = np.asarray(state.get("squares", np.zeros(size)), np.float64)
        if self._mean.shape != (size,) or self._squares.shape != (size,):  # of other observations
            self._count, self._mean, self._squares = 0, np.zeros(size), np.zeros(size)
        self._recent = np.zeros(size)
        self._recent_count = 0
        self._shifted: set[int] = set()

    @property
    def state(self) -> dict[str, Any]:
        """JSON values to go on from."""
        return {
            "versions": self._seen, "count": self._count, "mean": self._mean.tolist(), "squares": self._squares.tolist()
        }  # fmt: skip

    def feature(self, index: int) -> str:
        """The name of a feature."""
        names = self._config.features
        return names[index] if index < len(names) else str(index)

    def judge(self, pairs: Sequence[Pair], earlier: Sequence[Sequence[float]]) -> list[str | None]:
        """The reason of refusal for each pair; None: it is accepted.

        Args:
            earlier: accepted rewards of equal observations and actions.
        """
        for pair in pairs:
            version, at = pair.decision.version, pair.decision.at
            self._seen[version] = max(at, self._seen.get(version, at))
        kept = sorted(self._seen, key=lambda version: self._seen[version])[-max(self._config.versions, 100) :]
        self._seen = {version: self._seen[version] for version in kept}
        active = set(kept[-self._config.versions :])
        reasons: list[str | None] = []
        labels: dict[tuple[bytes, bytes], list[float]] = {}
        for pair, before in zip(pairs, earlier, strict=True):
            key = (pair.decision.observation, pair.decision.action)
            reason = self._reason(pair, active, [*before, *labels.get(key, [])])
            if reason is None:
                labels.setdefault(key, []).append(pair.reward.reward)
            reasons.append(reason)
        return reasons

    def _reason(self, pair: Pair, active: set[str], earlier: Sequence[float]) -> str | None:
        decision, reward, config = pair.decision, pair.reward, self._config
        if not self._fits(pair):
            return "schema"
        row = np.frombuffer(decision.observation, np.float32)
        rows = [row] if reward.next_observation is None else [row, np.frombuffer(reward.next_observation, np.float32)]
        if self._shapes.actions is None:
            rows.append(np.frombuffer(decision.action, np.float32))
        if not all(np.isfinite(values).all() for values in rows) or not np.isfinite(reward.reward):
            return "finite"
        if any(np.abs(values).max(initial=0.0) > config.limit for values in rows):
            return "range"
        if not config.reward[0] <= reward.reward <= config.reward[1]:
            return "range"
        if decision.propensity is None or not decision.propensity > 0:
            return "propensity"
        if self._shapes.actions is not None and decision.propensity > 1:
            return "propensity"
        if decision.version not in active:
            return "stale"
        if reward.at - decision.at > config.max_age:
            return "late"
        if self._is_shifted(row):
            return "shift"
        if config.conflicts == "refuse" and any(abs(reward.reward - other) > REWARD_TOLERANCE for other in earlier):
            return "conflict"
        self._learn(row)
        return None

    def _fits(self, pair: Pair) -> bool:
        decision, reward, shapes = pair.decision, pair.reward, self._shapes
        following = reward.next_observation
        if len(decision.observation) != 4 * shapes.observation:
            return False
        if following is not None and len(following) != 4 * shapes.observation:
            return False
        if reward.terminated and reward.truncated:
            return False
        if shapes.actions is None:
            return decision.mask is None and reward.next_mask is None and len(decision.action) == 4 * shapes.action
        for mask in (decision.mask, reward.next_mask):
            if mask is not None and (len(mask) != shapes.actions or set(mask) - {0, 1} or not any(mask)):
                return False
        if len(decision.action) != 8:
            return False
        action = int(np.frombuffer(decision.action, np.int64)[0])
        return 0 <= action < shapes.actions and (decision.mask is None or decision.mask[action] == 1)

    def _learn(self, row: np.ndarray) -> None:
        """Welford's mean and sum of squares, until the reference is complete; then a mean of the latest rows."""
        values = row.astype(np.float64)
        if self._count < self._config.reference:
            self._count += 1
            difference = values - self._mean
            self._mean += difference / self._count
            self._squares += difference * (values - self._mean)
            return
        self._recent_count = min(self._recent_count + 1, self._config.reference)
        self._recent += (values - self._recent) / self._recent_count

    def _deviations(self) -> np.ndarray:
        return np.sqrt(self._squares / max(self._count - 1, 1))

    def _is_shifted(self, row: np.ndarray) -> bool:
        if self._config.shift is None or self._count < self._config.reference:
            return False
        distance = np.abs(row - self._mean)
        # A feature that never varied in the reference says nothing about what is far.
        far = (distance > self._config.shift * self._deviations()) & (self._squares > 0)
        if not far.any():
            return False
        if fresh := set(np.flatnonzero(far).tolist()) - self._shifted:
            self._shifted |= fresh
            names = ", ".join(self.feature(index) for index in sorted(fresh)[:10])
            log.warning("experience is refused for its distribution shift: %s, unlike the reference", names)
        return True

    def drift(self) -> dict[str, float]:
        """How far the mean of the latest accepted rows is from the reference, in deviations, by feature."""
        if self._recent_count == 0:
            return {}
        spread = self._deviations()
        moved = np.divide(np.abs(self._recent - self._mean), spread, out=np.zeros_like(spread), where=spread > 0)
        return {self.feature(index): float(value) for index, value in enumerate(moved)}
