"""`SharedClock`: the time of work that is done together, divided among those who still take part."""

from __future__ import annotations

import time


class SharedClock:
    """Every second counts for those that have not ended, in equal parts, so that the parts sum to the whole."""

    def __init__(self, count: int) -> None:
        self._seconds = [0.0] * count
        self._active = set(range(count))
        self._last = time.perf_counter()

    def seconds(self, index: int) -> float:
        """The seconds of one of them so far."""
        self._divide()
        return self._seconds[index]

    def end(self, index: int) -> None:
        """One of them takes no part in what comes now."""
        self._divide()
        self._active.discard(index)

    def _divide(self) -> None:
        now = time.perf_counter()
        for index in self._active:
            self._seconds[index] += (now - self._last) / len(self._active)
        self._last = now
