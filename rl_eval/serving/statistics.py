"""`Statistics`: what the server counts of its requests, decisions and rewards."""

from __future__ import annotations

import bisect
import time
from collections import Counter, deque
from dataclasses import dataclass, field

EPISODES = 100  # of the mean return
UNITS = 10_000  # whose returns are followed at the same time
BUCKETS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0)  # seconds


@dataclass
class Statistics:
    """Counts since the server started."""

    started: float = field(default_factory=time.time)
    requests: Counter[tuple[str, int]] = field(default_factory=Counter)  # by path and status
    durations: dict[str, list[int]] = field(default_factory=dict)  # path -> requests by bucket, the last: slower
    seconds: Counter[str] = field(default_factory=Counter)  # path -> their sum
    actions: Counter[str] = field(default_factory=Counter)
    batches: Counter[int] = field(default_factory=Counter)  # rows that were decided together -> how often
    rewards: int = 0
    reward_sum: float = 0.0
    episodes: int = 0
    returns: deque[float] = field(default_factory=lambda: deque(maxlen=EPISODES))
    running: dict[str, float] = field(default_factory=dict)  # unit -> return of its episode so far
    losses: dict[str, float] = field(default_factory=dict)
    last_update: float | None = None
    last_update_s: float | None = None

    def add_request(self, path: str, status: int, seconds: float) -> None:
        """One answered request."""
        self.requests[path, status] += 1
        buckets = self.durations.setdefault(path, [0] * (len(BUCKETS) + 1))
        buckets[bisect.bisect_left(BUCKETS, seconds)] += 1
        self.seconds[path] += seconds  # type: ignore[assignment]

    def add_reward(self, unit: str | None, reward: float, done: bool) -> None:
        """One experience that is new."""
        self.rewards += 1
        self.reward_sum += reward
        if unit is None:
            return
        total = self.running.pop(unit, 0.0) + reward
        if done:
            self.episodes += 1
            self.returns.append(total)
        else:
            self.running[unit] = total
            if len(self.running) > UNITS:
                self.running.pop(next(iter(self.running)))

    @property
    def mean_return(self) -> float | None:
        """Of the latest episodes of units; None before the first one."""
        return sum(self.returns) / len(self.returns) if self.returns else None
