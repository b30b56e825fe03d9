"""Training until the policy is good enough; the checks are off the clock."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

# Given the policy and how many checks there were before: what it scored, and whether that is good enough.
Check = Callable[[Any, int], tuple[float, bool]]


@dataclass
class Reaching:
    """One training on its way.

    Attributes:
        begun: when its process was started, on `time.perf_counter`.
        every: env steps between two checks; the first update at or past each multiple is checked.
        check: judges a policy.
        checking_s: seconds spent in checks, which the clock leaves out.
        score: of the latest check.
        seconds: on the clock when the policy that was good enough was ready; None until then.
    """

    begun: float
    every: int
    check: Check
    checks: int = 0
    checking_s: float = 0.0
    score: float = float("nan")
    env_steps: int = 0
    seconds: float | None = None
    checked: int = 0  # the multiple of `every` that was checked last

    def after_update(self, env_steps: int, policy: Callable[[], Any]) -> bool:
        """Check when it is time to; returns whether training is to go on."""
        if self.seconds is not None:
            return False
        self.env_steps = env_steps
        if env_steps // self.every <= self.checked:
            return True
        paused = time.perf_counter()
        ready = paused - self.begun - self.checking_s
        self.checked = env_steps // self.every
        self.score, good = self.check(policy(), self.checks)
        self.checks += 1
        self.checking_s += time.perf_counter() - paused
        if good:
            self.seconds = ready
        return not good

    def found(self) -> dict[str, Any]:
        """What there is to tell, as JSON."""
        told = ("checks", "checking_s", "score", "env_steps", "seconds")
        return {name: value for name, value in asdict(self).items() if name in told}
