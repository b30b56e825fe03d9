"""`Statistics`: what the server counts of its requests, decisions and rewards."""

from __future__ import annotations

import bisect
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

BUCKETS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0)  # seconds


@dataclass
class Statistics:
    """Counts since the server started; what is kept longer is in the store."""

    started: float = field(default_factory=time.time)
    requests: Counter[tuple[str, int]] = field(default_factory=Counter)  # by path and status
    durations: dict[str, list[int]] = field(default_factory=dict)  # path -> requests by bucket, the last: slower
    seconds: Counter[str] = field(default_factory=Counter)  # path -> their sum
    actions: Counter[str] = field(default_factory=Counter)
    batches: Counter[int] = field(default_factory=Counter)  # rows that were decided together -> how often
    rewards: int = 0
    reward_sum: float = 0.0

    def add_request(self, path: str, status: int, seconds: float) -> None:
        """One answered request."""
        self.requests[path, status] += 1
        buckets = self.durations.setdefault(path, [0] * (len(BUCKETS) + 1))
        buckets[bisect.bisect_left(BUCKETS, seconds)] += 1
        self.seconds[path] += seconds  # type: ignore[assignment]

    def add_rewards(self, rewards: Sequence[float]) -> None:
        """Rewards of experiences that are new."""
        self.rewards += len(rewards)
        self.reward_sum += sum(rewards)
