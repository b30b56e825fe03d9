"""What one policy does on the gate's episodes, in the order of their seeds, played as far as somebody asks."""

from __future__ import annotations

from collections.abc import Generator, Iterator

from rl_eval.rollout import Episodes, join


class Tape:
    """Episodes that are played when they are first asked for, and kept.

    Attributes:
        played: how many there are so far.
    """

    def __init__(self, blocks: Iterator[Episodes]) -> None:
        self._blocks = blocks
        self._kept: list[Episodes] = []
        self.played = 0

    def play_on(self) -> bool:
        """Play until the next episodes are known; False where there are no more.

        Raises:
            InputError: the policy does what it may not.
        """
        block = next(self._blocks, None)
        if block is None:
            return False
        self._kept.append(block)
        self.played += len(block)
        return True

    def between(self, start: int, stop: int) -> Episodes:
        """The episodes from `start` up to but not including `stop`, or up to the last one there is."""
        while self.played < stop and self.play_on():
            pass
        if start >= self._last_start:  # as whoever follows the playing asks
            return self._kept[-1].between(start - self._last_start, stop - self._last_start)
        if len(self._kept) > 1:
            self._kept = [join(self._kept)]
        return self._kept[0].between(start, stop)

    @property
    def _last_start(self) -> int:
        return self.played - len(self._kept[-1])

    def close(self) -> None:
        """Stop playing; what was played stays."""
        if isinstance(self._blocks, Generator):
            self._blocks.close()
