"""A clock of training until the policy is good enough. Time spent on checks does not count."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

# (policy, number of earlier checks) -> (score, whether it is good enough)
Check = Callable[[Any, int], tuple[float, bool]]


@dataclass
class TrainingClock:
    """The time that one training has used, and the results of its checks.

    Attributes:
        started_at: when the process was started, on `time.perf_counter`.
        every: env steps between two checks; the first update at or after each multiple is checked.
        check: judges a policy.
        checking_s: seconds spent on checks, which do not count.
        score: of the latest check.
        seconds: when the good policy was ready, without checks; None until then.
    """

    started_at: float
    every: int
    check: Check
    checks: int = 0
    checking_s: float = 0.0
    score: float = float("nan")
    env_steps: int = 0
    seconds: float | None = None
    last_checked: int = 0  # multiple of `every`

    def after_update(self, env_steps: int, policy: Callable[[], Any]) -> bool:
        """Check if a check is due; returns whether training goes on."""
        if self.seconds is not None:
            return False
        self.env_steps = env_steps
        if env_steps // self.every <= self.last_checked:
            return True
        paused = time.perf_counter()
        ready = paused - self.started_at - self.checking_s
        self.last_checked = env_steps // self.every
        self.score, good = self.check(policy(), self.checks)
        self.checks += 1
        self.checking_s += time.perf_counter() - paused
        if good:
            self.seconds = ready
        return not good

    def results(self) -> dict[str, Any]:
        """The results as JSON values."""
        names = ("checks", "checking_s", "score", "env_steps", "seconds")
        return {name: value for name, value in asdict(self).items() if name in names}
