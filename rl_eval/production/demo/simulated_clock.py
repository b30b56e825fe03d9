"""`SimulatedClock`: time that passes only where the demo lets it pass, so that hours take seconds and nothing waits."""

from __future__ import annotations

from rl_eval.production.clock import SteadyClock

START = 1_767_571_200.0  # Monday, 5 January 2026, 00:00 UTC


class SimulatedClock:
    """Seconds since 1970, from a fixed start, so that every run of the demo has the same times."""

    def __init__(self) -> None:
        self._passed = 0.0

    def now(self) -> float:
        """Seconds since 1970."""
        return START + self._passed

    def steady(self) -> float:
        """Seconds since the start."""
        return self._passed

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._passed += seconds

    def of_servers(self) -> SteadyClock:
        """The same time as servers and collectors take it."""
        return SteadyClock(self.now, self.steady)
