"""`SteadyClock`: the time of day, without the jumps of a clock that somebody sets."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

log = logging.getLogger(__name__)
TOLERANCE_S = 300.0  # what a time service may correct at once
BELIEVED_S = 3600.0  # how long a jump must last before it is followed


def _elapsed() -> float:
    """Seconds that pass, no matter how the clock is set; where the system can say it, also while it sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


class SteadyClock:
    """Seconds since 1970. A jump by more than five minutes is followed once it has lasted an hour, and logged.

    So a clock that jumps by a day for a moment removes nothing, ends no lease and starts no training.

    Args:
        wall, elapsed: for tests.
    """

    def __init__(self, wall: Callable[[], float] = time.time, elapsed: Callable[[], float] = _elapsed):
        self._wall, self._elapsed = wall, elapsed
        self._offset = wall() - elapsed()
        self._jumped: float | None = None  # when, by `elapsed`
        self._other = 0.0  # the offset since

    def now(self) -> float:
        """The time; for any thread."""
        elapsed = self._elapsed()
        offset = self._wall() - elapsed
        if abs(offset - self._offset) <= TOLERANCE_S:
            self._offset, self._jumped = offset, None
        elif self._jumped is None or abs(offset - self._other) > TOLERANCE_S:
            self._jumped, self._other = elapsed, offset
            hours = (offset - self._offset) / 3600
            log.warning("the clock jumped by %+.1f h: it is followed if it stays so for an hour", hours)
        elif elapsed - self._jumped >= BELIEVED_S:
            log.warning("the clock stayed at its new time for an hour: it is followed from now on")
            self._offset, self._jumped = offset, None
        return elapsed + self._offset
